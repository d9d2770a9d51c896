#include "http/request_headers.hpp"

#include <algorithm>
#include <array>

namespace signalbox::http {

namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

template <std::size_t N>
bool any_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(),
                     [&](auto n) { return equals_ignoring_case(n, name); });
}

constexpr std::array<std::string_view, 11> hop_by_hop{"connection",
                                                      "keep-alive",
                                                      "transfer-encoding",
                                                      "content-length",
                                                      "te",
                                                      "trailer",
                                                      "proxy-connection",
                                                      "upgrade",
                                                      "proxy-authenticate",
                                                      "expect",
                                                      "proxy-authorization"};

// Credentials stay here; the answer must come unencoded, since we read its usage.
constexpr std::array<std::string_view, 9> ours{
    "host",         "authorization", "x-api-key",          "x-admin-token",  "cookie",
    "x-request-id", "x-priority",    "x-max-wait-seconds", "accept-encoding"};

constexpr std::array<std::string_view, 4> ours_to_say{"date", "server", "x-request-id",
                                                      "set-cookie"};

std::string_view view(const std::string& s) {
  return s;
}

// Remembers the value of a field that must not come twice; true when it did.
bool again(std::string_view& slot, std::string_view value) {
  if (slot.data() != nullptr) return true;
  slot = value;
  return false;
}

header_problem bad(std::string message) {
  return {error_code::bad_request, std::move(message)};
}

// Is `name` one of the comma-separated options of a Connection field?
bool nominated(std::string_view connection, std::string_view name) {
  while (!connection.empty()) {
    auto option = connection.substr(0, connection.find(','));
    connection.remove_prefix(std::min(connection.size(), option.size() + 1));
    while (!option.empty() && option.front() == ' ') option.remove_prefix(1);
    while (!option.empty() && option.back() == ' ') option.remove_suffix(1);
    if (equals_ignoring_case(option, name)) return true;
  }
  return false;
}

struct field_reader {
  explicit field_reader(request_headers& o) : out(o) {}

  request_headers& out;
  int hosts = 0;
  std::string_view connection;

  std::optional<header_problem> read(std::string_view name, std::string_view value) {
    switch (name.size()) {
      case 4:
        if (equals_ignoring_case(name, "host")) ++hosts;
        break;
      case 9:
        if (equals_ignoring_case(name, "x-api-key")) return once(out.api_key, value, name);
        break;
      case 10:
        if (equals_ignoring_case(name, "x-priority")) out.priority_word = value;
        if (equals_ignoring_case(name, "connection")) connection = value;
        break;
      case 12:
        if (equals_ignoring_case(name, "content-type")) return once(out.content_type, value, name);
        if (equals_ignoring_case(name, "x-request-id")) out.request_id = value;
        break;
      case 13:
        if (equals_ignoring_case(name, "authorization")) {
          return once(out.authorization, value, name);
        }
        break;
      case 17:
        if (equals_ignoring_case(name, "transfer-encoding") &&
            !equals_ignoring_case(value, "chunked")) {
          return bad("Only the transfer encoding 'chunked' is understood.");
        }
        break;
      case 18:
        if (equals_ignoring_case(name, "x-max-wait-seconds")) out.max_wait = value;
        break;
      default:
        break;
    }
    return std::nullopt;
  }

  static std::optional<header_problem> once(std::string_view& slot, std::string_view value,
                                            std::string_view name) {
    if (again(slot, value)) return bad("The header " + std::string(name) + " came twice.");
    return std::nullopt;
  }
};

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

bool is_sane_request_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

bool is_forwarded_to_client(std::string_view name) {
  return !any_of(hop_by_hop, name) && !any_of(ours_to_say, name);
}

std::optional<header_problem> read_headers(const restinio::http_request_header_t& header,
                                           const header_limits& limits, bool forward,
                                           request_headers& out) {
  field_reader reader(out);
  std::optional<header_problem> problem;
  std::size_t count = 0;
  header.for_each_field([&](const restinio::http_header_field_t& field) {
    if (problem) return;
    const auto name = view(field.name()), value = view(field.value());
    if (++count > limits.count || name.size() + value.size() > limits.field_bytes) {
      problem = {error_code::header_too_large, "Too many header fields, or one is too large."};
      return;
    }
    // The parser unfolds nothing (RFC 9112 5.2): what still holds a line break is refused.
    if (std::any_of(value.begin(), value.end(), [](char c) {
          return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
        })) {
      problem = bad("A header value holds control characters.");
      return;
    }
    problem = reader.read(name, value);
  });
  if (!problem && reader.hosts != 1 && header.http_minor() >= 1) {
    problem = bad("A request has exactly one Host header.");
  }
  if (problem || !forward) return problem;
  header.for_each_field([&](const restinio::http_header_field_t& field) {
    const auto name = view(field.name()), value = view(field.value());
    if (any_of(hop_by_hop, name) || any_of(ours, name) || nominated(reader.connection, name))
      return;
    out.forwarded.append(name).append(": ").append(value).append("\r\n");
  });
  return problem;
}

}  // namespace signalbox::http
