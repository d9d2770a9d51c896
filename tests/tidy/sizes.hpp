// Sizes of C++ files and functions, in lines, and the limits that the gateway's own sources keep.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tests/tidy/sources.hpp"

namespace signalbox::tidy {

// A file's size counts all its lines. A function's size counts its body, from the line of the
// opening brace to that of the closing one.
struct sizes {
  std::vector<std::size_t> files;
  std::vector<std::size_t> functions;
};

struct size_figures {
  std::size_t file_median = 0;
  std::size_t file_max = 0;
  std::size_t function_median = 0;
  std::size_t function_p90 = 0;
};

// The largest figures that are allowed.
inline constexpr size_figures size_limits{
    .file_median = 130, .file_max = 400, .function_median = 8, .function_p90 = 25};

bool is_test(std::string_view path);  // under tests/ or fuzz/

// Sizes of the C++ files of `tree` that are tests, or of all others.
sizes sizes_of(const std::vector<source>& tree, bool tests);

// The smallest value that at least `percent` (1 to 100) of the values do not exceed; 0 for none.
std::size_t percentile(std::vector<std::size_t> values, std::size_t percent);

size_figures figures_of(const sizes& measured);

// One sentence with counts and figures.
std::string describe(const sizes& measured);

// One sentence for each figure above its limit; empty when all are kept.
std::vector<std::string> over_limits(const size_figures& figures);

}  // namespace signalbox::tidy
