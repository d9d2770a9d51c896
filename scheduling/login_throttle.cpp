#include "scheduling/login_throttle.hpp"

#include <algorithm>

namespace signalbox::scheduling {

duration failure_memory::wait_after(std::uint32_t failures) const {
  if (options_.free_failures == 0 || failures < options_.free_failures) return duration::zero();
  constexpr std::uint32_t most_doublings = 20;
  const auto doublings = std::min(failures - options_.free_failures, most_doublings);
  return std::min(options_.first_wait * (1U << doublings), options_.longest_wait);
}

bool failure_memory::is_over(const entry& e, time_point now) const {
  return now >= e.last + options_.forget_after;
}

duration failure_memory::wait_of(const std::string& name, time_point now) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end() || is_over(*found->second, now)) return duration::zero();
  const auto& e = *found->second;
  return std::max<duration>(duration::zero(), e.last + wait_after(e.failures) - now);
}

void failure_memory::failed(const std::string& name, time_point now) {
  if (options_.free_failures == 0) return;
  std::uint32_t failures = 1;
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    if (!is_over(*found->second, now)) failures += found->second->failures;
    entries_.erase(found->second);
    by_name_.erase(found);
  } else if (entries_.size() >= options_.remembered) {
    by_name_.erase(entries_.front().name);
    entries_.pop_front();
  }
  by_name_[name] = entries_.insert(entries_.end(), {name, failures, now});
}

void failure_memory::forget(const std::string& name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return;
  entries_.erase(found->second);
  by_name_.erase(found);
}

duration login_throttle::wait_of(const std::string& account, const std::string& address,
                                 time_point now) const {
  return std::max(accounts_.wait_of(account, now), addresses_.wait_of(address, now));
}

void login_throttle::failed(const std::string& account, const std::string& address,
                            time_point now) {
  accounts_.failed(account, now);
  addresses_.failed(address, now);
}

}  // namespace signalbox::scheduling
