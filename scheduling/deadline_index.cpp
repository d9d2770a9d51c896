#include "scheduling/deadline_index.hpp"

#include <algorithm>

namespace signalbox::scheduling {

void deadline_index::insert(std::uint32_t slot, time_point deadline) {
  if (deadline == never) return;
  auto bucket = bucket_of(deadline);
  if (bucket < near_end_) {
    near_.emplace(deadline, slot);
    return;
  }
  if (slot >= links_.size()) {
    links_.resize(slot + 1);
    deadlines_.resize(slot + 1);
  }
  // Deadlines mostly grow, so the hint makes most insertions O(1).
  auto head = far_.try_emplace(far_.end(), bucket, none);
  links_[slot] = {none, head->second};
  if (head->second != none) links_[head->second].previous = slot;
  head->second = slot;
  deadlines_[slot] = deadline;
}

void deadline_index::remove(std::uint32_t slot, time_point deadline) {
  if (deadline == never) return;
  auto bucket = bucket_of(deadline);
  if (bucket < near_end_) {
    near_.erase({deadline, slot});
    return;
  }
  auto [previous, next] = links_[slot];
  if (next != none) links_[next].previous = previous;
  if (previous != none) {
    links_[previous].next = next;
  } else if (next != none) {
    far_.find(bucket)->second = next;
  } else {
    far_.erase(bucket);
  }
}

std::vector<std::uint32_t> deadline_index::take_due(time_point now) {
  while (!far_.empty() && far_.begin()->first <= bucket_of(now)) {
    for (auto slot = far_.begin()->second; slot != none; slot = links_[slot].next) {
      near_.emplace(deadlines_[slot], slot);
    }
    far_.erase(far_.begin());
  }
  near_end_ = std::max(near_end_, bucket_of(now) + 1);
  std::vector<std::uint32_t> due;
  while (!near_.empty() && near_.begin()->first <= now) {
    due.push_back(near_.begin()->second);
    near_.erase(near_.begin());
  }
  return due;
}

time_point deadline_index::next() const {
  if (!near_.empty()) return near_.begin()->first;
  if (!far_.empty()) return time_point(width(far_.begin()->first));
  return never;
}

}  // namespace signalbox::scheduling
