// May a dead child be started again, and when: at most `budget` restarts in `window`, each after a
// delay that doubles while deaths follow one another. One object for each supervised child.
#pragma once

#include <deque>
#include <variant>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

struct restart_options {
  std::uint32_t budget = 5;
  duration window = std::chrono::seconds(60);
  duration first_delay = std::chrono::milliseconds(100);
  duration max_delay = std::chrono::seconds(10);
};

struct restart_at {
  time_point when;
};
struct give_up {};  // the budget is spent: the process should end, loudly
using restart_decision = std::variant<restart_at, give_up>;

class restart_policy {
 public:
  explicit restart_policy(restart_options options);
  restart_decision died(time_point now);

 private:
  restart_options options_;
  std::deque<time_point> deaths_;  // inside the window
};

}  // namespace signalbox::scheduling
