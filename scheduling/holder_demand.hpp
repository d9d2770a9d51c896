// What the work for a lease holder says of itself, by class.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

struct class_demand {
  std::uint32_t waiting = 0;             // tickets
  std::uint32_t in_use = 0;              // requests in flight
  time_point oldest_wait_since = never;  // `never`: nothing waits
  time_point last_active{};

  bool has_work() const { return waiting > 0 || in_use > 0; }
  bool operator==(const class_demand&) const = default;
};

// The arbiter decides on the latest; the owner drains, so a late report costs time, never a
// request.
struct holder_demand {
  std::array<class_demand, work_class_count> of_class{};  // indexes are work_class
  double arrivals_per_s = 0;  // EWMA; stands for the probability of need
  duration expected_load{};   // to load it again

  class_demand& of(work_class work) { return of_class[static_cast<std::size_t>(work)]; }
  const class_demand& of(work_class work) const { return of_class[static_cast<std::size_t>(work)]; }

  // Over all classes.
  std::uint32_t waiting() const;
  std::uint32_t in_use() const;
  time_point oldest_wait_since() const;
  time_point last_active() const;
  bool has_work() const;
  std::optional<work_class> most_urgent() const;  // that has work
};

}  // namespace signalbox::scheduling
