#include "text/go_duration.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace signalbox {

namespace {

// In this order each is found before its own beginning.
constexpr std::array<std::pair<std::string_view, double>, 8> units{{{"ns", 1},
                                                                    {"us", 1e3},
                                                                    {"\u00b5s", 1e3},
                                                                    {"\u03bcs", 1e3},
                                                                    {"ms", 1e6},
                                                                    {"s", 1e9},
                                                                    {"m", 60e9},
                                                                    {"h", 3600e9}}};

constexpr double longest_ns = 290 * 365.0 * 86400e9;

// Takes a number and its unit from the front of the text.
std::optional<double> take_part(std::string_view& text) {
  // from_chars reads "inf", too.
  if (text.empty() || std::string_view("0123456789.").find(text[0]) == text.npos) return {};
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc()) return {};
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  const auto unit = std::find_if(units.begin(), units.end(),
                                 [&](const auto& one) { return text.starts_with(one.first); });
  if (unit == units.end()) return {};
  text.remove_prefix(unit->first.size());
  return number * unit->second;
}

}  // namespace

std::optional<std::chrono::nanoseconds> parse_go_duration(std::string_view text) {
  const bool is_negative = text.starts_with('-');
  if (is_negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return std::chrono::nanoseconds::zero();
  double ns = 0;
  do {
    const auto part = take_part(text);
    if (!part) return {};
    ns += *part;
  } while (!text.empty());
  if (ns > longest_ns) return {};
  return std::chrono::nanoseconds(std::llround(is_negative ? -ns : ns));
}

}  // namespace signalbox
