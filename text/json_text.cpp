#include "text/json_text.hpp"

#include <nlohmann/json.hpp>

namespace signalbox {

namespace {

namespace od = simdjson::ondemand;

// Memory for one large body is not kept for the many small ones that follow.
constexpr std::size_t kept_bytes = 1024 * 1024, small_bytes = 64 * 1024;

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
