// Says which day it is, for what is counted by days of UTC, so that no limit depends on a wall
// clock that jumps.
//
// A day lasts until the midnight that the wall clock promised when the day began, measured on the
// steady clock: whatever the wall clock shows meanwhile, no new day begins. Only then it is read
// again, and the next day lasts until the midnight that is nearest to 24 hours later, 12 to 36
// hours, which brings both in step. So a limit of N a day lets in at most N in each 12 hours, and
// after a jump the days are those of the wall clock again in 36 hours at the latest.
//
// A process starts with the day of the wall clock. Use is kept by date, so that a start on a date
// that was counted before finds what was used of it.
#pragma once

#include <chrono>
#include <cstdint>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

struct counted_day {
  std::int32_t number = 0;  // grows by one with each day of this process, from 1
  std::int32_t date = 0;    // days since 1970-01-01, UTC; it may come again, or be left out
  time_point ends_at{};
};

class day_clock {
 public:
  using wall_time = std::chrono::system_clock::time_point;

  // Returns the day at `now`, when the wall clock shows `wall`. `now` never goes back.
  const counted_day& at(time_point now, wall_time wall);

 private:
  counted_day day_;
};

}  // namespace signalbox::scheduling
