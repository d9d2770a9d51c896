#include "tests/tidy/sizes.hpp"

#include <algorithm>

#include "tests/tidy/functions.hpp"

namespace signalbox::tidy {

bool is_test(std::string_view path) {
  return path.starts_with("tests/") || path.starts_with("fuzz/");
}

sizes sizes_of(const std::vector<source>& tree, bool tests) {
  sizes out;
  for (const source& file : tree) {
    if (!is_cpp(file.path) || is_test(file.path) != tests) continue;
    out.files.push_back(lines_of(file.text).size());
    for (const function_lines& function : functions_of(file.text)) {
      out.functions.push_back(function.body());
    }
  }
  return out;
}

std::size_t percentile(std::vector<std::size_t> values, std::size_t percent) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  std::size_t rank = (values.size() * percent + 99) / 100;  // from 1
  return values[rank - 1];
}

size_figures figures_of(const sizes& measured) {
  return {.file_median = percentile(measured.files, 50),
          .file_max = percentile(measured.files, 100),
          .function_median = percentile(measured.functions, 50),
          .function_p90 = percentile(measured.functions, 90)};
}

std::string describe(const sizes& measured) {
  size_figures figures = figures_of(measured);
  return std::to_string(measured.files.size()) + " files, lines: median " +
         std::to_string(figures.file_median) + ", max " + std::to_string(figures.file_max) + "; " +
         std::to_string(measured.functions.size()) + " functions, lines of the body: median " +
         std::to_string(figures.function_median) + ", 90th percentile " +
         std::to_string(figures.function_p90);
}

std::vector<std::string> over_limits(const size_figures& figures) {
  std::vector<std::string> out;
  auto compare = [&](const std::string& what, std::size_t value, std::size_t limit) {
    if (value <= limit) return;
    out.push_back(what + " is " + std::to_string(value) + " lines, allowed " +
                  std::to_string(limit));
  };
  compare("the median file", figures.file_median, size_limits.file_median);
  compare("the longest file", figures.file_max, size_limits.file_max);
  compare("the median function", figures.function_median, size_limits.function_median);
  compare("the 90th percentile of functions", figures.function_p90, size_limits.function_p90);
  return out;
}

}  // namespace signalbox::tidy
