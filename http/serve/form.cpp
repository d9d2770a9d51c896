#include "http/serve/form.hpp"

#include <algorithm>
#include <charconv>

#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

constexpr std::size_t max_fields = 32;

std::optional<std::string> decode_part(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    unsigned value = 0;
    const auto* const begin = text.data() + i + 1;
    if (std::from_chars(begin, begin + 2, value, 16).ptr != begin + 2) return std::nullopt;
    decoded += static_cast<char>(value);
    i += 2;
  }
  return decoded;
}

}  // namespace

bool is_form_type(std::string_view content_type) {
  auto type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return equals_ignoring_case(type, "application/x-www-form-urlencoded");
}

std::optional<form> parse_form(std::string_view body) {
  form fields;
  while (!body.empty()) {
    const auto pair = body.substr(0, body.find('&'));
    body.remove_prefix(std::min(body.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    const auto name = decode_part(pair.substr(0, equals));
    const auto value = decode_part(pair.substr(std::min(pair.size(), equals + 1)));
    if (!name || !value || fields.size() == max_fields || !fields.emplace(*name, *value).second) {
      return std::nullopt;
    }
  }
  return fields;
}

}  // namespace signalbox::http
