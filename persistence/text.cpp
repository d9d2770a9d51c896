#include "persistence/text.hpp"

#include <boost/locale/utf.hpp>
#include <utility>

namespace signalbox::persistence {

std::string clean_text(std::string_view text, std::size_t limit) {
  namespace utf = boost::locale::utf;
  constexpr std::string_view replacement = "\xEF\xBF\xBD";
  std::string clean;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    const char* next = at;
    const utf::code_point point = utf::utf_traits<char>::decode(next, end);
    const bool is_valid = utf::is_valid_codepoint(point) && point != 0;
    if (!is_valid) next = at + 1;
    const std::string_view character =
        is_valid ? std::string_view(at, static_cast<std::size_t>(next - at)) : replacement;
    if (clean.size() + character.size() > limit) break;
    clean += character;
    at = next;
  }
  return clean;
}

void array_literal::add(std::string_view element) {
  if (text_.size() > 1) text_ += ',';
  text_ += '"';
  for (const char character : element) {
    if (character == '"' || character == '\\') text_ += '\\';
    text_ += character;
  }
  text_ += '"';
}

std::string array_literal::take() && {
  text_ += '}';
  return std::move(text_);
}

}  // namespace signalbox::persistence
