#include "fuzz/support.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>

namespace signalbox::fuzz {

void require(bool holds, std::string_view property) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: this does not hold: %.*s\n", static_cast<int>(property.size()),
               property.data());
  std::abort();
}

cut uncut(std::string_view input) {
  return {input.size()};
}

std::vector<cut> cuts_of(std::string_view input) {
  constexpr std::size_t in_two = 16, of_random_sizes = 4, most_pieces = 512;
  std::vector<cut> cuts;
  const auto size = input.size();
  if (size < 2) return cuts;
  std::mt19937 random(static_cast<std::uint32_t>(size));
  const auto up_to = [&random](std::size_t most) { return 1 + random() % most; };
  for (std::size_t i = 1; i <= std::min(in_two, size - 1); ++i) {
    cuts.push_back({size <= in_two ? i : up_to(size - 1), size});
  }
  if (size <= most_pieces) {
    std::iota(cuts.emplace_back(size).begin(), cuts.back().end(), 1);
  }
  for (std::size_t i = 0; i < of_random_sizes; ++i) {
    auto& ends = cuts.emplace_back();
    const auto most = std::max<std::size_t>(i * 8 + 4, size / most_pieces * 2);
    for (auto end = up_to(most); end < size; end += up_to(most)) ends.push_back(end);
    ends.push_back(size);
  }
  return cuts;
}

}  // namespace signalbox::fuzz

// The entry that libFuzzer calls.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  signalbox::fuzz::try_input({reinterpret_cast<const char*>(data), size});
  return 0;
}
