// JSON as text: the shard thread's one scanner, and small conversions.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>

namespace signalbox {

// Begins to read `text` with the thread's own on-demand scanner: one document at a time. `capacity`
// is how many bytes may be read from text.data() on; with too little room behind the text it is
// copied. False when it does not begin like JSON. `begin` is set to where the scanned text stands.
bool scan_json(std::string_view text, std::size_t capacity, simdjson::ondemand::document& document,
               const char** begin = nullptr);

// A JSON object or array without white space between its tokens, so without line ends; empty when
// `text` is no valid one.
std::string json_on_one_line(std::string_view text);

// `text` as a JSON string token, quotes included; invalid UTF-8 is replaced.
std::string json_quoted(std::string_view text);

}  // namespace signalbox
