#include "scheduling/day_clock.hpp"

namespace signalbox::scheduling {

namespace {

using days = std::chrono::days;

std::int32_t date_of(std::chrono::sys_days day) {
  return static_cast<std::int32_t>(day.time_since_epoch().count());
}

}  // namespace

const counted_day& day_clock::at(time_point now, wall_time wall) {
  if (day_.number == 0) {
    const auto day = std::chrono::floor<days>(wall);
    day_ = {1, date_of(day), now + (day + days(1) - wall)};
  }
  while (now >= day_.ends_at) {
    const auto shown = wall - (now - day_.ends_at);  // when the day ended
    const auto day = std::chrono::round<days>(shown);
    day_ = {day_.number + 1, date_of(day), day_.ends_at + (day + days(1) - shown)};
  }
  return day_;
}

}  // namespace signalbox::scheduling
