// Text on its way into PostgreSQL: what it would refuse is replaced, and lists become array
// literals.
#pragma once

#include <string>
#include <string_view>

namespace signalbox::persistence {

// At most `limit` bytes of valid UTF-8 without NUL: each byte that is no part of a character, and
// each NUL, becomes U+FFFD. What is too long is cut between two characters.
std::string clean_text(std::string_view text, std::size_t limit);

// Builds the text form of a one-dimensional array, {"a","b"}, to be sent as one parameter (not to
// be pasted into a statement).
class array_literal {
 public:
  void add(std::string_view element);  // always quoted, so that NULL, "" and {} are plain text
  std::string take() &&;

 private:
  std::string text_ = "{";
};

}  // namespace signalbox::persistence
