// Lists of texts as parameters of a statement.
#pragma once

#include <string>
#include <string_view>

namespace signalbox::persistence {

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
