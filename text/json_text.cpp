#include "text/json_text.hpp"

#include <cstring>
#include <nlohmann/json.hpp>
#include <regex>

namespace signalbox {

namespace {

namespace od = simdjson::ondemand;

// Memory for one large body is not kept for the many small ones that follow.
constexpr std::size_t kept_bytes = 1024 * 1024, small_bytes = 64 * 1024;

// Of a number that no double can hold: std::regex recurses for each digit.
constexpr std::size_t max_number_bytes = 400;

json_fault fault_unless(bool is_fine) {
  return is_fine ? json_fault::none : json_fault::malformed;
}

// Returns whether the text is a string but for halves of surrogate pairs (\ud83d), which JSON
// allows and simdjson does not. Clients send them in a text that they cut within a character. The
// halves become other characters for the test.
bool is_string_with_half_characters(std::string_view token) {
  std::string copy(token);
  for (auto at = copy.find("\\u"); at != copy.npos; at = copy.find("\\u", at + 2)) {
    auto& digit = copy[at + 2];  // the token ends in a quote
    if (digit == 'd' || digit == 'D') digit = '0';
  }
  simdjson::dom::parser parser;
  return parser.parse(copy).is_string();
}

// Returns whether the text is a number that no double can hold, which JSON allows and simdjson does
// not.
bool is_huge_number(std::string_view token) {
  static const std::regex form(R"(-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?[ \t\n\r]*)");  // RFC 8259 6
  return token.size() <= max_number_bytes && std::regex_match(token.begin(), token.end(), form);
}

}  // namespace

bool scan_json(std::string_view text, std::size_t capacity, od::document& document,
               const char** begin) {
  thread_local od::parser parser;
  thread_local std::string copy;
  if (text.size() < small_bytes) {
    if (parser.capacity() > kept_bytes) parser = od::parser();
    if (copy.capacity() > kept_bytes) copy = std::string();
  }
  if (capacity - text.size() < simdjson::SIMDJSON_PADDING) {
    copy.reserve(text.size() + simdjson::SIMDJSON_PADDING);
    copy.assign(text);
    text = copy;
    capacity = copy.capacity();
  }
  if (begin) *begin = text.data();
  const simdjson::padded_string_view input(text.data(), text.size(), capacity);
  return parser.iterate(input).get(document) == simdjson::SUCCESS;
}

simdjson::error_code read_name(simdjson::simdjson_result<od::field>& member,
                               std::string_view& name) {
  od::raw_json_string raw;
  if (const auto error = member.key().get(raw)) return error;
  const char* const begin = raw.raw();
  // The scanner has found a closing quote; this one is it, unless an escape is before it.
  const auto* const end = static_cast<const char*>(::rawmemchr(begin, '"'));
  name = {begin, static_cast<std::size_t>(end - begin)};
  if (name.find('\\') == name.npos) return simdjson::SUCCESS;
  return member.unescaped_key().get(name);
}

json_fault json_checker::check(od::value& value, int depth) {
  od::json_type type;
  if (value.type().get(type) != simdjson::SUCCESS) return json_fault::malformed;
  switch (type) {
    case od::json_type::array:
      return depth < max_json_depth ? check_array(value, depth + 1) : json_fault::too_deep;
    case od::json_type::object:
      return depth < max_json_depth ? check_object(value, depth + 1) : json_fault::too_deep;
    case od::json_type::string:
      return check_text(value);
    case od::json_type::number:
      return check_number(value);
    case od::json_type::boolean:
      return fault_unless(value.get_bool().error() == simdjson::SUCCESS);
    case od::json_type::null:
      break;
  }
  return fault_unless(value.is_null().error() == simdjson::SUCCESS);
}

json_fault json_checker::check_array(od::value& value, int depth) {
  od::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return json_fault::malformed;
  for (auto element : array) {
    od::value inner;
    if (element.get(inner) != simdjson::SUCCESS) return json_fault::malformed;
    if (const auto fault = check(inner, depth); fault != json_fault::none) return fault;
  }
  return json_fault::none;
}

json_fault json_checker::check_object(od::value& value, int depth) {
  od::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return json_fault::malformed;
  for (auto field : object) {
    std::string_view name;
    od::value inner;
    if (read_name(field, name) != simdjson::SUCCESS ||
        field.value().get(inner) != simdjson::SUCCESS) {
      return json_fault::malformed;
    }
    if (const auto fault = check(inner, depth); fault != json_fault::none) return fault;
  }
  return json_fault::none;
}

// Only escapes are left to check: the scanner found all text to be UTF-8 without control
// characters. Without an escape, nothing is copied.
json_fault json_checker::check_text(od::value& value) {
  const auto token = value.raw_json_token();
  if (token.find('\\') == token.npos) {
    return fault_unless(value.get_raw_json_string().error() == simdjson::SUCCESS);
  }
  if (value.get_string().error() == simdjson::SUCCESS) return json_fault::none;
  return fault_unless(--unusual_left_ > 0 && is_string_with_half_characters(token));
}

// Most numbers are whole ones, which are quicker to read.
json_fault json_checker::check_number(od::value& value) {
  if (value.get_uint64().error() == simdjson::SUCCESS) return json_fault::none;
  if (value.get_double().error() == simdjson::SUCCESS) return json_fault::none;
  return fault_unless(--unusual_left_ > 0 && is_huge_number(value.raw_json_token()));
}

std::string json_on_one_line(std::string_view text) {
  simdjson::dom::parser parser;
  simdjson::dom::element parsed;
  if (parser.parse(text.data(), text.size()).get(parsed) != simdjson::SUCCESS) return {};
  if (!parsed.is_object() && !parsed.is_array()) return {};
  return simdjson::minify(parsed);
}

std::string json_quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace signalbox
