// Bytes from outside as valid UTF-8, for JSON, for PostgreSQL and for terminals.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace signalbox {

// At most `limit` bytes of valid UTF-8 without NUL: each byte that is no part of a character, and
// each NUL, becomes U+FFFD. Text that is too long is cut between two characters.
std::string clean_text(std::string_view text, std::size_t limit = std::string_view::npos);

// The same for one line of a program's output: control characters other than a tab are left out.
std::string clean_line(std::string_view line);

}  // namespace signalbox
