// Turns foreign bytes into valid UTF-8, for JSON, PostgreSQL and terminals.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace signalbox {

// Returns at most `max_bytes` bytes of valid UTF-8 without NUL. Each byte that belongs to no
// character, and each NUL, becomes U+FFFD. A longer text is cut between two characters.
std::string clean_text(std::string_view text, std::size_t max_bytes = std::string_view::npos);

// Returns the text behind the byte order mark that some programs write before it.
std::string_view without_byte_order_mark(std::string_view text);

// The same for one line of a program's output; also removes control characters other than tabs.
std::string clean_line(std::string_view line);

}  // namespace signalbox
