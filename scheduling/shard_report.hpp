// What a shard tells of the units that it has and of the requests that ended. Part of shard_batch,
// see model_queue.hpp.
#pragma once

#include <cstdint>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// Units of one backend.
struct backend_units {
  backend_id backend = 0;
  std::uint32_t units = 0;
};

// What one shard says of one backend.
struct backend_report {
  backend_id backend = 0;
  std::uint32_t units_returned = 0;  // since the last batch
  std::uint32_t ended = 0;           // requests, since the last batch
  class_counts in_use{};             // units inside permits, now
};

// How requests ended since the last batch; each permit is counted once, in one of these, unless it
// was preempted: its request goes on.
struct settled_counts {
  std::uint32_t completed = 0;
  std::uint32_t failed = 0;
  std::uint32_t cancelled = 0;
  std::uint32_t timed_out = 0;
  duration service{};  // sum over all of them, permit to end

  std::uint32_t total() const { return completed + failed + cancelled + timed_out; }
};

}  // namespace signalbox::scheduling
