// The cheapest set of lease holders that frees enough memory: exact for few candidates, greedy for
// many. Part of lease_arbiter.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduling/gpu_set.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

using gpu_amounts = std::vector<std::uint64_t>;  // bytes, for each GPU that is looked at

struct eviction_candidate {
  holder_id holder = 0;
  gpu_amounts frees;
  bool is_busy = false;  // has work
  double cost_s = 0;     // expected time to reload it
  time_point last_active{};
};

// Who to ask back. Of two, the smaller by these members, in this order, is better.
struct eviction {
  std::uint32_t busy = 0;  // victims with work
  double cost_s = 0;
  std::size_t count = 0;
  time_point last_active{};  // of the victim used last
  std::uint64_t spare = 0;   // bytes on these GPUs beyond the need
  gpu_set gpus;              // what will be there for who asks
  std::vector<holder_id> victims;

  bool operator<(const eviction& other) const;
};

// The candidates together must free what is `missing`. No victim is superfluous; where nothing is
// missing there is none. `spare` is what the victims free beyond it; `gpus` is for the caller.
eviction cheapest_eviction(std::vector<eviction_candidate> candidates, const gpu_amounts& missing);

// Whether they do.
bool can_free(const std::vector<eviction_candidate>& candidates, const gpu_amounts& missing);

}  // namespace signalbox::scheduling
