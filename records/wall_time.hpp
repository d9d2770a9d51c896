// Time as calendars and other machines know it. What is measured or waited for is monotonic:
// time_point in scheduling/types.hpp.
#pragma once

#include <chrono>

namespace signalbox {

using wall_time = std::chrono::system_clock::time_point;

}  // namespace signalbox
