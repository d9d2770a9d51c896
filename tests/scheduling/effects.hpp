// Reading lists of effects in tests.
#pragma once

#include <variant>
#include <vector>

namespace signalbox::test {

// All effects of one kind, in order.
template <class E, class Variant>
std::vector<E> all(const std::vector<Variant>& effects) {
  std::vector<E> found;
  for (const auto& effect : effects) {
    if (const auto* e = std::get_if<E>(&effect)) found.push_back(*e);
  }
  return found;
}

template <class E, class Variant>
std::size_t count(const std::vector<Variant>& effects) {
  return all<E>(effects).size();
}

// The kinds of all effects, in order, are exactly these.
template <class... E, class Variant>
bool are(const std::vector<Variant>& effects) {
  std::size_t i = 0;
  return effects.size() == sizeof...(E) && (std::holds_alternative<E>(effects[i++]) && ... && true);
}

}  // namespace signalbox::test
