// A shard's reports of its units and of the requests that ended. Part of shard_batch, see
// model_queue.hpp.
#pragma once

#include <cstdint>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// A number of units of one backend.
struct backend_units {
  backend_id backend = 0;
  std::uint32_t units = 0;
};

// What a shard noticed of one run of a runtime since its last batch.
struct runtime_signs {
  std::uint64_t run = 0;        // the runtime's start; 0: nothing was noticed
  bool heard = false;           // bytes of an answer came
  std::uint32_t deadlines = 0;  // of requests, passed since the last byte
  bool refused = false;         // a connection could not be made
  bool completed = false;       // a request was served to its end
};

// A shard's report of its units of one backend.
struct backend_report {
  backend_id backend = 0;
  std::uint32_t units_returned = 0;  // since the last batch
  std::uint32_t ended = 0;           // requests that ended since the last batch
  class_counts in_use{};             // units that are inside permits now
  runtime_signs signs{};
};

// The number of requests that ended since the last batch, by the way they ended. Each permit counts
// once, except for a preempted one, whose request goes on.
struct settled_counts {
  std::uint32_t completed = 0;
  std::uint32_t failed = 0;
  std::uint32_t cancelled = 0;
  std::uint32_t timed_out = 0;
  std::uint32_t unlike_others = 0;  // of these; their time says nothing about the next request
  duration service{};               // sum over all others, from permit to end

  std::uint32_t total() const { return completed + failed + cancelled + timed_out; }
};

}  // namespace signalbox::scheduling
