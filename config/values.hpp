// The text form of option values: parsing, bounds, and display.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/schema.hpp"

namespace signalbox::config {

// Parses the whole text as one value. Not for lists.
std::optional<value> parse_value(const option& o, std::string_view text);
std::optional<std::uint64_t> parse_size(std::string_view text);  // "24GiB", "512 MB", "1000"
std::string format_size(std::uint64_t bytes);  // in the largest unit that is exact

// Returns a text like "found 0, allowed 1 to 65536" when the value is out of bounds.
std::optional<std::string> out_of_bounds(const option& o, const value& v);
// Returns a text like "an integer from 1 to 65536" or "one of process, external".
std::string allowed(const option& o);
std::string range_text(const option& o);
std::string show(const option& o, const value& v);

// Returns whether the text is UTF-8 without control characters, as names that others see must be.
bool is_plain_text(const std::string& text);

// Returns the text in quotes, with control characters escaped and shortened to 80 bytes: safe for a
// terminal or a log.
std::string in_quotes(std::string_view text);
// Returns a text like "; did you mean max_concurrent?", or an empty one.
std::string suggestion(std::string_view found, const std::vector<std::string>& candidates);
// Returns the candidate that `found` most likely misspells.
std::optional<std::string> closest(std::string_view found,
                                   const std::vector<std::string>& candidates);

}  // namespace signalbox::config
