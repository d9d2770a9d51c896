#include "text/rfc3339.hpp"

#include <fmt/chrono.h>

#include <chrono>
#include <iomanip>
#include <sstream>

namespace signalbox {

std::string rfc3339(wall_time at) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch());
  const auto whole = std::chrono::floor<std::chrono::seconds>(at);
  return fmt::format("{:%FT%T}.{:06}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(whole)),
                     us.count() % 1000000);
}

std::optional<wall_time> parse_rfc3339(const std::string& text) {
  std::tm parts{};
  std::istringstream stream(text);
  stream >> std::get_time(&parts, "%Y-%m-%dT%H:%M:%SZ");
  if (stream.fail() || stream.peek() != std::istringstream::traits_type::eof()) return std::nullopt;
  using namespace std::chrono;
  constexpr int first_year = 1970, last_year = 2199;  // well within the range of nanoseconds
  const auto year_number = parts.tm_year + 1900;
  const year_month_day date{year(year_number), month(static_cast<unsigned>(parts.tm_mon + 1)),
                            day(static_cast<unsigned>(parts.tm_mday))};
  if (!date.ok() || year_number < first_year || year_number > last_year) return std::nullopt;
  return sys_days(date) + hours(parts.tm_hour) + minutes(parts.tm_min) + seconds(parts.tm_sec);
}

}  // namespace signalbox
