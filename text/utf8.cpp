#include "text/utf8.hpp"

#include <boost/locale/utf.hpp>

namespace signalbox {

namespace {

namespace utf = boost::locale::utf;

constexpr std::string_view replacement = "\xEF\xBF\xBD";

// Calls `take(code point, bytes)` for each character until it returns false. A byte that belongs to
// no character has the code point U+FFFD.
template <typename Take>
void for_each_character(std::string_view text, Take take) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    const char* next = at;
    const utf::code_point point = utf::utf_traits<char>::decode(next, end);
    const bool is_valid = utf::is_valid_codepoint(point);
    // decode() may have passed over the beginning of the next character.
    if (!is_valid) next = at + 1;
    const std::string_view bytes(at, static_cast<std::size_t>(next - at));
    if (!take(is_valid ? point : 0xFFFD, is_valid ? bytes : replacement)) return;
    at = next;
  }
}

}  // namespace

std::string clean_text(std::string_view text, std::size_t max_bytes) {
  std::string clean;
  for_each_character(text, [&](utf::code_point point, std::string_view bytes) {
    if (point == 0) bytes = replacement;
    if (clean.size() + bytes.size() > max_bytes) return false;
    clean += bytes;
    return true;
  });
  return clean;
}

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  return text.starts_with(mark) ? text.substr(mark.size()) : text;
}

std::string clean_line(std::string_view line) {
  std::string clean;
  for_each_character(line, [&](utf::code_point point, std::string_view bytes) {
    const bool is_control = (point < 0x20 && point != '\t') || point == 0x7F;
    if (!is_control) clean += bytes;
    return true;
  });
  return clean;
}

}  // namespace signalbox
