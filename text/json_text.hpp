// JSON text: the scanner of a shard's thread, and small conversions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/simdjson.hpp"

namespace signalbox {

inline constexpr std::size_t scan_padding = simdjson::SIMDJSON_PADDING;  // bytes

// Begins to read `text` with the on-demand scanner of this thread, which reads one document at a
// time. `capacity` is how many bytes may be read from text.data() on; when fewer than scan_padding
// are behind the text, the text is copied. Returns false when it does not begin like JSON. Sets
// `begin` to the start of the scanned text.
bool scan_json(std::string_view text, std::size_t capacity, simdjson::ondemand::document& document,
               const char** begin = nullptr);

// Reads the name of a member. Nearly none has an escape, and those that have none are not copied.
simdjson::error_code read_name(simdjson::simdjson_result<simdjson::ondemand::field>& member,
                               std::string_view& name);

// How deep the JSON of a client may nest.
inline constexpr int max_json_depth = 512;

enum class json_fault : std::uint8_t { none, malformed, too_deep };

// Checks values that nobody reads: the scanner skips them by their brackets alone.
class json_checker {
 public:
  // Reads the whole value. `depth`: how many objects and arrays it is in.
  json_fault check(simdjson::ondemand::value& value, int depth);

 private:
  json_fault check_array(simdjson::ondemand::value& value, int depth);
  json_fault check_object(simdjson::ondemand::value& value, int depth);
  json_fault check_text(simdjson::ondemand::value& value);
  json_fault check_number(simdjson::ondemand::value& value);

  int unusual_left_ = 100;  // values that take long to check
};

// Returns a JSON object or array without white space between its tokens, hence on one line; empty
// when `text` is not valid JSON.
std::string json_on_one_line(std::string_view text);

// Returns `text` as a JSON string token with its quotes; replaces invalid UTF-8.
std::string json_quoted(std::string_view text);

}  // namespace signalbox
