// Wall-clock time, for calendars and other machines. Durations and deadlines use monotonic time:
// time_point in scheduling/types.hpp.
#pragma once

#include <chrono>

namespace signalbox {

using wall_time = std::chrono::system_clock::time_point;

}  // namespace signalbox
