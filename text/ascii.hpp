// Text of protocols, which is compared without regard to the case of ASCII letters.
#pragma once

#include <algorithm>
#include <string_view>

namespace signalbox {

constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

inline bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return to_lower(x) == to_lower(y);
         });
}

// Visits the parts of a comma-separated list that are not empty, without the blanks around them.
template <typename Visit>
void for_each_listed(std::string_view list, Visit visit) {
  constexpr std::string_view blanks = " \t";
  while (!list.empty()) {
    auto part = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), part.size() + 1));
    part.remove_prefix(std::min(part.size(), part.find_first_not_of(blanks)));
    part = part.substr(0, part.find_last_not_of(blanks) + 1);
    if (!part.empty()) visit(part);
  }
}

}  // namespace signalbox
