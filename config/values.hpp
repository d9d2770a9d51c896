// The text form of option values: parsing, bounds, and how they are shown to a person.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/schema.hpp"

namespace signalbox::config {

// Strict: the whole text must be the value. Not for lists.
std::optional<value> parse_value(const option& o, std::string_view text);
std::optional<std::uint64_t> parse_size(std::string_view text);  // "24GiB", "512 MB", "1000"
std::string format_size(std::uint64_t bytes);                    // the largest unit that is exact

// "found 0, allowed 1 to 65536" when the value is out of its bounds.
std::optional<std::string> out_of_bounds(const option& o, const value& v);
// "an integer from 1 to 65536", "one of process, external".
std::string allowed(const option& o);
std::string range_text(const option& o);
std::string show(const option& o, const value& v);

// UTF-8 without control characters, as the names are that others see.
bool is_plain_text(const std::string& text);

// In quotes, control characters escaped, shortened to 80 bytes: safe for a terminal and a log.
std::string in_quotes(std::string_view text);
// "; did you mean max_concurrent?" or nothing.
std::string suggestion(std::string_view found, const std::vector<std::string>& candidates);
// The candidate that `found` is most likely a misspelling of.
std::optional<std::string> closest(std::string_view found,
                                   const std::vector<std::string>& candidates);

}  // namespace signalbox::config
