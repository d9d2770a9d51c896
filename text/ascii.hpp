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

constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

constexpr std::string_view without_blanks_behind(std::string_view text) {
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

constexpr std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return without_blanks_behind(text);
}

// Visits the parts of a comma-separated list that are not empty, without the blanks around them.
template <typename Visit>
void for_each_listed(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const auto part = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), part.size() + 1));
    if (const auto inner = without_blanks(part); !inner.empty()) visit(inner);
  }
}

}  // namespace signalbox
