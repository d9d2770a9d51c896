// Holds the deadlines of waiting tickets. Far ones lie in coarse buckets, which cost O(1) to enter
// and to leave; near ones lie in exact order. A removed deadline is gone at once.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// The deadlines of the slots of one model's queue.
class deadline_index {
 public:
  // Each slot has at most one deadline; `never` is not kept.
  void insert(std::uint32_t slot, time_point deadline);
  void remove(std::uint32_t slot, time_point deadline);  // the deadline it was inserted with
  // Removes and returns the slots whose deadline is `now` or before, earliest first.
  std::vector<std::uint32_t> take_due(time_point now);
  // `never` when empty; may be early by the width of a bucket, never late.
  time_point next() const;
  void prefetch(std::uint32_t slot) const {
    if (slot < links_.size()) __builtin_prefetch(&links_[slot]);
  }

 private:
  static constexpr std::uint32_t none = 0xffffffff;
  using width = std::chrono::duration<std::int64_t, std::ratio<1, 4>>;

  struct link {
    std::uint32_t previous = none, next = none;
  };

  static std::int64_t bucket_of(time_point t) {
    return std::chrono::floor<width>(t.time_since_epoch()).count();
  }

  std::int64_t near_end_ = INT64_MIN;  // buckets before this one are in near_
  std::set<std::pair<time_point, std::uint32_t>> near_;
  std::map<std::int64_t, std::uint32_t> far_;  // bucket → first slot
  std::vector<link> links_;                    // by slot: its neighbours in the bucket
  std::vector<time_point> deadlines_;          // by slot
};

}  // namespace signalbox::scheduling
