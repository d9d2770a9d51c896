#include "http/serve/request_headers.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <iterator>
#include <vector>

#include "http/serve/field_text.hpp"
#include "text/append.hpp"
#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

bool is_alphanumeric(char c) {
  return (to_lower(c) >= 'a' && to_lower(c) <= 'z') || (c >= '0' && c <= '9');
}

constexpr std::size_t max_id_bytes = 128;

enum class field : std::uint8_t {
  other,
  hop_by_hop,         // RFC 9110 7.6.1, and framing
  connection,         // hop-by-hop; names further hop-by-hop fields
  transfer_encoding,  // hop-by-hop
  upgrade,            // hop-by-hop
  host,
  expect,
  authorization,
  api_key,
  admin_token,
  content_type,
  content_encoding,
  priority_word,
  max_wait,
  request_id,
  client_id,
  forwarded_for,
  // Credentials, our own fields, what proxies tell of a client, what means another path or method;
  // and Accept-Encoding, because we read the usage.
  private_to_us,
  ours_to_say,  // fields of an answer that only we set, or that a proxy before us obeys
};

struct known_field {
  std::string_view name;
  field kind;
};

constexpr known_field known_fields[] = {
    {"te", field::hop_by_hop},
    {"host", field::host},
    {"date", field::ours_to_say},
    {"cookie", field::private_to_us},
    {"origin", field::private_to_us},
    {"server", field::ours_to_say},
    {"expect", field::expect},
    {"alt-svc", field::ours_to_say},
    {"trailer", field::hop_by_hop},
    {"upgrade", field::upgrade},
    {"forwarded", field::private_to_us},
    {"x-api-key", field::api_key},
    {"x-real-ip", field::private_to_us},
    {"connection", field::connection},
    {"keep-alive", field::hop_by_hop},
    {"x-priority", field::priority_word},
    {"set-cookie", field::ours_to_say},
    {"x-sendfile", field::ours_to_say},
    {"x-client-id", field::client_id},
    {"content-type", field::content_type},
    {"x-request-id", field::request_id},
    {"authorization", field::authorization},
    {"x-admin-token", field::admin_token},
    {"x-rewrite-url", field::private_to_us},
    {"x-http-method", field::private_to_us},
    {"content-length", field::hop_by_hop},
    {"http2-settings", field::hop_by_hop},
    {"x-original-url", field::private_to_us},
    {"accept-encoding", field::private_to_us},
    {"x-forwarded-for", field::forwarded_for},
    {"clear-site-data", field::ours_to_say},
    {"x-queue-wait-ms", field::ours_to_say},
    {"content-encoding", field::content_encoding},
    {"proxy-connection", field::hop_by_hop},
    {"x-selected-model", field::ours_to_say},
    {"x-accel-redirect", field::ours_to_say},
    {"transfer-encoding", field::transfer_encoding},
    {"x-method-override", field::private_to_us},
    {"proxy-authenticate", field::hop_by_hop},
    {"x-max-wait-seconds", field::max_wait},
    {"proxy-authorization", field::hop_by_hop},
    {"x-http-method-override", field::private_to_us},
    {"service-worker-allowed", field::ours_to_say},
    {"strict-transport-security", field::ours_to_say},
};

constexpr std::size_t max_known_bytes = 25;
constexpr std::string_view forwarded_prefix = "x-forwarded-";  // of all others that proxies add

// The position of the first name of each length in known_fields, which is sorted by length. Every
// field of every request is looked up here.
constexpr auto first_of_length = [] {
  std::array<std::uint8_t, max_known_bytes + 2> first{};
  for (std::size_t length = 0; length < first.size(); ++length) {
    while (first[length] < std::size(known_fields) &&
           known_fields[first[length]].name.size() < length) {
      ++first[length];
    }
  }
  return first;
}();
static_assert(std::is_sorted(std::begin(known_fields), std::end(known_fields),
                             [](const auto& a, const auto& b) {
                               return a.name.size() < b.name.size();
                             }));

// Returns whether the name, which is at least as long, begins with `known`. It is a token, so that
// | 0x20 turns letters into lower case and turns no other character into one of ours.
bool is_known(std::string_view known, std::string_view name) {
  std::size_t i = 0;
  for (; i + sizeof(std::uint64_t) <= known.size(); i += sizeof(std::uint64_t)) {
    if ((word_at(&name[i]) | in_each_byte(0x20)) != word_at(&known[i])) return false;
  }
  for (; i < known.size(); ++i) {
    if ((name[i] | 0x20) != known[i]) return false;
  }
  return true;
}

field kind_of(std::string_view name) {
  if (name.size() <= max_known_bytes) {
    for (auto i = first_of_length[name.size()]; i < first_of_length[name.size() + 1]; ++i) {
      if (is_known(known_fields[i].name, name)) return known_fields[i].kind;
    }
  }
  const bool is_of_proxy =
      name.size() >= forwarded_prefix.size() && is_known(forwarded_prefix, name);
  return is_of_proxy ? field::private_to_us : field::other;
}

std::string_view view(const std::string& s) {
  return s;
}

// Blanks around a value are not part of it (RFC 9112 5.1). The parser leaves those behind it.
std::string_view value_of(const restinio::http_header_field_t& f) {
  return without_blanks_behind(view(f.value()));
}

header_problem bad(std::string message) {
  return {error_code::bad_request, std::move(message)};
}

// Returns whether `name` is one of the comma-separated options of a Connection field.
bool nominated(std::string_view connection, std::string_view name) {
  bool found = false;
  for_each_listed(connection, [&](std::string_view option) {
    found = found || equals_ignoring_case(option, name);
  });
  return found;
}

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Returns whether a Host names a host and perhaps a port (RFC 3986 3.2.2, RFC 9112 3.2). What the
// name is made of is checked, not what it means.
bool is_host(std::string_view value) {
  constexpr std::string_view others = "-._~!$&'()*+,;=";
  auto name = value;
  const auto colon = value.rfind(':');
  const bool is_literal = value.starts_with('[');
  if (colon != value.npos && (!is_literal || value.find(']') == colon - 1)) {
    const auto port = value.substr(colon + 1);
    if (!std::all_of(port.begin(), port.end(), is_digit)) return false;
    name = value.substr(0, colon);
  }
  if (is_literal) {
    if (name.size() < 3 || !name.ends_with(']')) return false;
    name = name.substr(1, name.size() - 2);
  }
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (is_alphanumeric(c) || others.find(c) != others.npos || (is_literal && c == ':')) continue;
    if (is_literal || c != '%' || i + 2 >= name.size()) return false;
    if (std::isxdigit(static_cast<unsigned char>(name[i + 1])) == 0 ||
        std::isxdigit(static_cast<unsigned char>(name[i + 2])) == 0) {
      return false;
    }
    i += 2;
  }
  return true;
}

class field_reader {
 public:
  explicit field_reader(request_headers& out) : out_(out) {}

  std::optional<header_problem> read(field kind, std::string_view name, std::string_view value) {
    switch (kind) {
      case field::host:
        ++hosts;
        out_.host = value;
        if (is_host(value)) break;
        return bad("The Host header names no host.");
      case field::connection:
        for_each_listed(value, [this](std::string_view option) {
          const bool is_close = equals_ignoring_case(option, "close");
          out_.wants_close = out_.wants_close || is_close;
          out_.wants_upgrade = out_.wants_upgrade || equals_ignoring_case(option, "upgrade");
          nominates = nominates || !(is_close || equals_ignoring_case(option, "keep-alive"));
        });
        break;
      case field::api_key:
        return once(out_.api_key, value, name);
      case field::admin_token:
        return once(out_.admin_token, value, name);
      case field::content_type:
        return once(out_.content_type, value, name);
      case field::content_encoding:
        return once(out_.content_encoding, value, name);
      case field::authorization:
        return once(out_.authorization, value, name);
      case field::priority_word:
        out_.priority_word = value;
        break;
      case field::request_id:
        out_.request_id = value;
        break;
      case field::client_id:
        out_.client_id = value;
        break;
      case field::max_wait:
        out_.max_wait = value;
        break;
      case field::forwarded_for:
        out_.forwarded_for.push_back(value);
        break;
      case field::expect:
        out_.expect = value;
        break;
      case field::upgrade:
        out_.upgrade = value;
        break;
      case field::transfer_encoding:
        if (++encodings > 1) return bad("The header Transfer-Encoding must be sent only once.");
        if (equals_ignoring_case(value, "chunked")) break;
        return bad("The only supported transfer encoding is 'chunked'.");
      default:
        break;
    }
    return std::nullopt;
  }

  int hosts = 0, encodings = 0;
  bool nominates = false;  // whether a Connection field names other fields

 private:
  static std::optional<header_problem> once(std::string_view& slot, std::string_view value,
                                            std::string_view name) {
    if (slot.data() != nullptr)
      return bad("The header " + std::string(name) + " must be sent only once.");
    slot = value;
    return std::nullopt;
  }

  request_headers& out_;
};

void append_line(std::string& out, std::string_view name, std::string_view value) {
  append(out, name, ": ", value, "\r\n");
}

bool goes_to_runtime(field kind) {
  return kind == field::other || kind == field::content_type || kind == field::ours_to_say;
}

// Returns the lines of all fields of these kinds but those that Connection names.
template <typename Predicate>  // (field)
std::string fields_that_go_on(const restinio::http_request_header_t& header, Predicate goes_on) {
  std::vector<std::string_view> connections;
  header.for_each_field([&](const restinio::http_header_field_t& f) {
    if (kind_of(view(f.name())) == field::connection) connections.push_back(value_of(f));
  });
  std::string lines;
  header.for_each_field([&](const restinio::http_header_field_t& f) {
    const auto name = view(f.name());
    const auto names_it = [&](std::string_view connection) { return nominated(connection, name); };
    if (goes_on(kind_of(name)) && std::none_of(connections.begin(), connections.end(), names_it)) {
      append_line(lines, name, value_of(f));
    }
  });
  return lines;
}

}  // namespace

bool is_sane_request_id(std::string_view id) {
  return !id.empty() && id.size() <= max_id_bytes && std::all_of(id.begin(), id.end(), [](char c) {
    return is_alphanumeric(c) || std::string_view("._-").find(c) != std::string_view::npos;
  });
}

bool is_sane_client_id(std::string_view id) {
  return !id.empty() && id.size() <= max_id_bytes && std::all_of(id.begin(), id.end(), [](char c) {
    return is_alphanumeric(c) || std::string_view("._:@/+-").find(c) != std::string_view::npos;
  });
}

bool is_forwarded_to_client(std::string_view name) {
  for (const std::string_view ours : {"access-control-", "x-ratelimit-"}) {
    if (equals_ignoring_case(name.substr(0, ours.size()), ours)) return false;
  }
  const auto kind = kind_of(name);
  return kind == field::other || kind == field::content_type || kind == field::content_encoding;
}

std::optional<header_problem> read_headers(const restinio::http_request_header_t& header,
                                           const header_limits& limits, bool forward,
                                           request_headers& out) {
  field_reader reader(out);
  if (forward) out.forwarded.reserve(256);
  std::optional<header_problem> problem;
  std::size_t count = 0;
  header.for_each_field([&](const restinio::http_header_field_t& f) {
    if (problem) return;
    const auto name = view(f.name()), value = value_of(f);
    if (++count > limits.count) {
      problem = {error_code::header_too_large, "There are more than " +
                                                   std::to_string(limits.count) +
                                                   " header fields (server.header_count_limit)."};
      return;
    }
    if (name.size() + value.size() > limits.field_bytes) {
      problem = {error_code::header_too_large, "A header field has more than " +
                                                   std::to_string(limits.field_bytes) +
                                                   " bytes (server.header_limit)."};
      return;
    }
    if (!is_token(name) || has_control_characters(value)) {
      problem = bad("A header contains a character that is not allowed.");
      return;
    }
    const auto kind = kind_of(name);
    problem = reader.read(kind, name, value);
    if (forward && goes_to_runtime(kind)) append_line(out.forwarded, name, value);
  });
  if (!problem && (reader.hosts > 1 || (reader.hosts == 0 && limits.is_host_required))) {
    problem = bad("A request must have exactly one Host header.");
  }
  if (problem || !forward || !reader.nominates) return problem;
  out.forwarded = fields_that_go_on(header, goes_to_runtime);
  return std::nullopt;
}

std::string fields_with_coding(const restinio::http_request_header_t& header) {
  return fields_that_go_on(
      header, [](field kind) { return goes_to_runtime(kind) || kind == field::content_encoding; });
}

}  // namespace signalbox::http
