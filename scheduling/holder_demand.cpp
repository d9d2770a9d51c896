#include "scheduling/holder_demand.hpp"

#include <algorithm>

namespace signalbox::scheduling {

std::uint32_t holder_demand::waiting() const {
  std::uint32_t sum = 0;
  for (const auto& d : of_class) sum += d.waiting;
  return sum;
}

std::uint32_t holder_demand::in_use() const {
  std::uint32_t sum = 0;
  for (const auto& d : of_class) sum += d.in_use;
  return sum;
}

time_point holder_demand::oldest_wait_since() const {
  auto oldest = never;
  for (const auto& d : of_class) oldest = std::min(oldest, d.oldest_wait_since);
  return oldest;
}

time_point holder_demand::last_active() const {
  time_point last{};
  for (const auto& d : of_class) last = std::max(last, d.last_active);
  return last;
}

bool holder_demand::has_work() const {
  return most_urgent().has_value();
}

std::optional<work_class> holder_demand::most_urgent() const {
  for (std::size_t c = 0; c < of_class.size(); ++c) {
    if (of_class[c].has_work()) return static_cast<work_class>(c);
  }
  return std::nullopt;
}

}  // namespace signalbox::scheduling
