// Chooses the cheapest set of lease holders that frees enough memory. The choice is exact for up to
// 12 candidates and greedy for more. Part of lease_arbiter, for its rule evict.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduling/gpu_set.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

using gpu_amounts = std::vector<std::uint64_t>;  // bytes, one entry for each GPU in question

// A lease holder that may be asked to give its memory back.
struct eviction_candidate {
  holder_id holder = 0;
  gpu_amounts frees;
  bool is_busy = false;  // has work
  double cost_s = 0;     // expected time to reload it
  time_point last_active{};
};

// A set of holders to ask back, its victims. The smaller of two evictions is the better one; the
// members up to `gpus` are compared in their order.
struct eviction {
  std::uint32_t busy = 0;  // victims with work
  double cost_s = 0;       // sum over the victims
  std::size_t count = 0;
  time_point last_active{};  // latest of the victims
  std::uint64_t spare = 0;   // bytes on these GPUs beyond the need
  gpu_set gpus;              // memory that the asking holder will get
  std::vector<holder_id> victims;

  bool operator<(const eviction& other) const;
};

// Returns the cheapest set of victims that frees at least `missing`. Precondition:
// can_free(candidates, missing). Every victim is needed, so there is none when nothing is missing.
// `spare` counts the bytes that the victims free beyond `missing`; the caller sets `gpus`.
eviction cheapest_eviction(std::vector<eviction_candidate> candidates, const gpu_amounts& missing);

// Tells whether the candidates together free at least `missing` on each GPU.
bool can_free(const std::vector<eviction_candidate>& candidates, const gpu_amounts& missing);

}  // namespace signalbox::scheduling
