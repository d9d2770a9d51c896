// The work that a lease holder has, by class of work, as its queue reports it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// The work of one class.
struct class_demand {
  std::uint32_t waiting = 0;             // tickets
  std::uint32_t in_use = 0;              // requests in flight
  time_point oldest_wait_since = never;  // `never`: nothing waits
  time_point last_active{};

  bool has_work() const { return waiting > 0 || in_use > 0; }
  bool operator==(const class_demand&) const = default;
};

// The work of one holder. The arbiter decides by the latest report. A late one costs time but never
// a request, because a holder drains before it gives its lease back.
struct holder_demand {
  std::array<class_demand, work_class_count> of_class{};  // indexes are work_class
  double arrivals_per_s = 0;  // EWMA; stands for the probability of need
  duration expected_load{};   // expected time to load the holder's model again

  class_demand& of(work_class work) { return of_class[static_cast<std::size_t>(work)]; }
  const class_demand& of(work_class work) const { return of_class[static_cast<std::size_t>(work)]; }

  // These cover all classes.
  std::uint32_t waiting() const;
  std::uint32_t in_use() const;
  time_point oldest_wait_since() const;
  time_point last_active() const;
  bool has_work() const;
  std::optional<work_class> most_urgent() const;  // of the classes with work
};

}  // namespace signalbox::scheduling
