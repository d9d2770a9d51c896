// Decides whether and when a child that died is started again: at most `budget` times in `window`,
// each time after a delay that doubles while deaths follow one another. Each supervised child has
// one such object.
#pragma once

#include <deque>
#include <variant>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// The budget and the delays of restarts.
struct restart_options {
  std::uint32_t budget = 5;
  duration window = std::chrono::seconds(60);
  duration first_delay = std::chrono::milliseconds(100);
  duration max_delay = std::chrono::seconds(10);
};

// The decision to start the child again at this time.
struct restart_at {
  time_point when;
};
struct give_up {};  // the budget is spent: the process should end and say why
using restart_decision = std::variant<restart_at, give_up>;

// The deaths of one child.
class restart_policy {
 public:
  explicit restart_policy(restart_options options);
  restart_decision died(time_point now);

 private:
  restart_options options_;
  std::deque<time_point> deaths_;  // within the window
};

}  // namespace signalbox::scheduling
