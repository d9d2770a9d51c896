// The characters of header fields.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace signalbox::http {

constexpr std::uint64_t in_each_byte(std::uint8_t value) {
  return value * std::uint64_t{0x0101010101010101};
}

// Returns eight characters as a number.
inline std::uint64_t word_at(const char* text) {
  std::uint64_t word;
  std::memcpy(&word, text, sizeof word);
  return word;
}

// Returns whether the text is a token (RFC 9110 5.6.2), as the name of a field must be. The parser
// accepts a space before the colon, which RFC 9112 5.1 forbids: such a name would match no field
// here, but perhaps one at the runtime.
bool is_token(std::string_view name);

// A tab is none.
bool has_control_characters(std::string_view value);

}  // namespace signalbox::http
