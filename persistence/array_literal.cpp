#include "persistence/array_literal.hpp"

#include <utility>

namespace signalbox::persistence {

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
