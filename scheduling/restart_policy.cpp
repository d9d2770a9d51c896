#include "scheduling/restart_policy.hpp"

#include <algorithm>

namespace signalbox::scheduling {

restart_policy::restart_policy(restart_options options) : options_(options) {}

restart_decision restart_policy::died(time_point now) {
  while (!deaths_.empty() && now - deaths_.front() >= options_.window) deaths_.pop_front();
  if (deaths_.size() >= options_.budget) return give_up{};
  auto delay = std::min(options_.first_delay, options_.max_delay);
  for (std::size_t n = 0; n < deaths_.size() && delay < options_.max_delay; ++n) {
    delay = std::min(delay * 2, options_.max_delay);
  }
  deaths_.push_back(now);
  return restart_at{now + delay};
}

}  // namespace signalbox::scheduling
