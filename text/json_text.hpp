// JSON text: the scanner of a shard's thread, and small conversions.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

namespace signalbox {

inline constexpr std::size_t scan_padding = simdjson::SIMDJSON_PADDING;  // bytes

// Begins to read `text` with the on-demand scanner of this thread, which reads one document at a
// time. `capacity` is how many bytes may be read from text.data() on; when fewer than scan_padding
// are behind the text, the text is copied. Returns false when it does not begin like JSON. Sets
// `begin` to the start of the scanned text.
bool scan_json(std::string_view text, std::size_t capacity, simdjson::ondemand::document& document,
               const char** begin = nullptr);

// Returns a JSON object or array without white space between its tokens, hence on one line; empty
// when `text` is not valid JSON.
std::string json_on_one_line(std::string_view text);

// Returns `text` as a JSON string token with its quotes; replaces invalid UTF-8.
std::string json_quoted(std::string_view text);

}  // namespace signalbox
