// A crash of a runtime, as it is stored.
#pragma once

#include <string>
#include <vector>

#include "records/wall_time.hpp"

namespace signalbox {

struct crash_record {
  wall_time time;
  std::string model;
  std::string reason;  // scheduling::to_string(exit_reason)
  std::string detail;
  std::vector<std::string> log_tail;
};

}  // namespace signalbox
