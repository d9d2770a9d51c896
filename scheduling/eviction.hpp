// The cheapest set of lease holders that frees enough memory: exact for few candidates, greedy for
// many. Part of lease_arbiter.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

struct eviction_candidate {
  std::uint32_t holder = 0;
  std::uint64_t frees = 0;  // bytes
  bool is_busy = false;     // has work
  double cost_s = 0;        // expected time to reload it
  time_point last_active{};
};

// Who to ask back. Of two, the smaller by these members, in this order, is better.
struct eviction {
  std::uint32_t busy = 0;  // victims with work
  double cost_s = 0;
  std::size_t count = 0;
  time_point last_active{};  // of the victim used last
  std::uint64_t spare = 0;   // bytes freed beyond the need
  std::uint32_t gpu = 0;
  std::vector<std::uint32_t> victims;

  bool operator<(const eviction& other) const;
};

// The candidates together must free `need` (above 0) bytes. No victim is superfluous.
eviction cheapest_eviction(std::vector<eviction_candidate> candidates, std::uint64_t need);

}  // namespace signalbox::scheduling
