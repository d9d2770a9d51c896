#include "fuzz/plain_http.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace signalbox::fuzz {

namespace {

constexpr std::string_view digits = "0123456789", hex_digits = "0123456789abcdefABCDEF";
constexpr std::string_view token_characters =
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

bool consists_of(std::string_view text, std::string_view characters) {
  return !text.empty() && text.find_first_not_of(characters) == text.npos;
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
  });
}

std::string_view trimmed(std::string_view text, std::string_view blanks) {
  const auto begin = std::min(text.find_first_not_of(blanks), text.size());
  return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::optional<std::uint64_t> number(std::string_view text, int base) {
  constexpr std::size_t most_digits = 15;
  if (text.size() > most_digits || !consists_of(text, base == 10 ? digits : hex_digits)) return {};
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

enum class body_kind { absent, counted, chunked, unclear };

struct body_framing {
  body_kind kind = body_kind::absent;
  std::uint64_t length = 0;
};

body_framing framing_of(const plain_fields& fields) {
  body_framing framing;
  for (const auto& [name, value] : fields) {
    if (name != "content-length" && name != "transfer-encoding") continue;
    if (framing.kind != body_kind::absent) return {body_kind::unclear};
    if (name == "transfer-encoding") {
      if (lower(value) != "chunked") return {body_kind::unclear};
      framing.kind = body_kind::chunked;
    } else {
      const auto length = number(value, 10);
      if (!length) return {body_kind::unclear};
      framing = {body_kind::counted, *length};
    }
  }
  return framing;
}

// The parser takes longer names that begin like this one for it, too, and refuses a length then.
bool has_longer_name(const plain_fields& fields) {
  constexpr std::string_view name = "transfer-encoding";
  return std::any_of(fields.begin(), fields.end(), [&](const auto& field) {
    return field.first.starts_with(name) && field.first.size() > name.size();
  });
}

bool tells_length(const plain_fields& fields) {
  return has_longer_name(fields) || framing_of(fields).kind != body_kind::absent;
}

// Reads one message. What it takes is not in rest_ any more.
class plain_reader {
 public:
  explicit plain_reader(std::string_view text) : rest_(text) {}

  std::string_view rest() const { return rest_; }
  void skip_empty_lines() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of("\r\n"), rest_.size()));
  }

  // A line ends with CRLF, and has no other CR or LF.
  std::optional<std::string_view> take_line() {
    const auto end = rest_.find("\r\n");
    if (end == rest_.npos) return std::nullopt;
    const auto line = rest_.substr(0, end);
    rest_.remove_prefix(end + 2);
    if (line.find_first_of("\r\n") != line.npos) return std::nullopt;
    return line;
  }

  // The fields up to the empty line.
  bool take_fields(plain_fields& out) {
    for (auto line = take_line(); line; line = take_line()) {
      if (line->empty()) return true;
      const auto colon = std::min(line->find(':'), line->size());
      if (colon == line->size() || !consists_of(line->substr(0, colon), token_characters)) break;
      if (has_control_characters(*line)) break;
      out.push_back(plain_field(line->substr(0, colon), line->substr(colon + 1)));
    }
    return false;
  }

  // Nobody has to know what they say. A line that continues another is none.
  bool take_trailers(plain_message& out) {
    auto fields = *this;
    plain_fields trailers;
    out.has_sound_trailers = fields.take_fields(trailers) && !tells_length(trailers);
    for (auto line = take_line(); line && !line->starts_with(' ') && !line->starts_with('\t');
         line = take_line()) {
      if (line->empty()) return true;
    }
    return false;
  }

  bool take_bytes(std::uint64_t count, std::string& out) {
    if (rest_.size() < count) return false;
    out.append(rest_.substr(0, count));
    rest_.remove_prefix(count);
    return true;
  }

  bool take_chunks(plain_message& out) {
    for (auto line = take_line(); line; line = take_line()) {
      const auto size = number(*line, 16);
      if (size == std::uint64_t{0}) return take_trailers(out);
      if (!size || !take_bytes(*size, out.body) || take_line() != std::string_view()) return false;
    }
    return false;
  }

 private:
  std::string_view rest_;
};

bool take_body(plain_reader& reader, const body_framing& framing, plain_message& out) {
  switch (framing.kind) {
    case body_kind::absent:
      return true;
    case body_kind::counted:
      return reader.take_bytes(framing.length, out.body);
    case body_kind::chunked:
      return reader.take_chunks(out);
    case body_kind::unclear:
      break;
  }
  return false;
}

// `HTTP/1.1`, with any digits.
bool is_version(std::string_view text) {
  return text.size() == 8 && text.starts_with("HTTP/") && number(text.substr(5, 1), 10) &&
         text[6] == '.' && number(text.substr(7, 1), 10);
}

bool read_request_line(std::string_view line, plain_message& out) {
  const auto method_end = std::min(line.find(' '), line.size());
  const auto version_begin = line.rfind(' ') + 1;
  if (version_begin <= method_end || !is_version(line.substr(version_begin))) return false;
  out.method = line.substr(0, method_end);
  out.target = trimmed(line.substr(method_end, version_begin - method_end), " ");
  return consists_of(out.method, token_characters) && !out.target.empty();
}

bool read_status_line(std::string_view line, plain_message& out) {
  constexpr std::size_t version_end = 8, status_end = 12;
  if (!is_version(line.substr(0, version_end)) || line[5] != '1' || line.size() < status_end ||
      line[version_end] != ' ' || (line.size() > status_end && line[status_end] != ' ')) {
    return false;
  }
  const auto status = number(line.substr(version_end + 1, 3), 10);
  out.status = static_cast<int>(status.value_or(0));
  return out.status >= 100 && out.status < 600 && !has_control_characters(line);
}

}  // namespace

plain_fields::value_type plain_field(std::string_view name, std::string_view value) {
  return {lower(trimmed(name, " \t")), std::string(trimmed(value, " \t"))};
}

std::optional<plain_message> read_plain_request(std::string_view text, std::size_t from) {
  plain_message out;
  plain_reader reader(text.substr(from));
  reader.skip_empty_lines();
  const auto line = reader.take_line();
  if (!line || !read_request_line(*line, out) || !reader.take_fields(out.fields))
    return std::nullopt;
  out.head_end = text.size() - reader.rest().size();
  if (!take_body(reader, framing_of(out.fields), out)) return std::nullopt;
  out.end = text.size() - reader.rest().size();
  return out;
}

std::optional<plain_message> read_plain_answer(std::string_view text, bool to_head_request) {
  plain_message out;
  plain_reader reader(text);
  const auto is_interim = [&out] { return out.status < 200 && out.status != 101; };
  do {
    out = {};
    const auto line = reader.take_line();
    if (!line || !read_status_line(*line, out) || !reader.take_fields(out.fields) ||
        has_longer_name(out.fields) || framing_of(out.fields).kind == body_kind::unclear) {
      return std::nullopt;
    }
  } while (is_interim());
  out.head_end = text.size() - reader.rest().size();
  const auto framing = framing_of(out.fields);
  const bool has_no_body = to_head_request || out.status == 204 || out.status == 304;
  if (out.status == 101) return std::nullopt;
  if (framing.kind == body_kind::absent && !has_no_body) {
    out.ends_with_text = true;
    out.body = reader.rest();
    out.end = text.size();
    return out;
  }
  if (!has_no_body && !take_body(reader, framing, out)) return std::nullopt;
  if (!out.has_sound_trailers) return std::nullopt;
  out.end = text.size() - reader.rest().size();
  return out;
}

}  // namespace signalbox::fuzz
