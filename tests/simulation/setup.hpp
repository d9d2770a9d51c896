// The parts of a simulated gateway (machine, models, shards) and the faults of its world. All of it
// comes from the seed.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduling/lease_arbiter.hpp"
#include "scheduling/model_lifecycle.hpp"
#include "scheduling/model_queue.hpp"
#include "tests/simulation/world.hpp"

namespace signalbox::simulation {

struct model_setup {
  scheduling::model_queue_options queue;
  std::uint32_t backends = 1;
  std::uint32_t units = 1;  // of each backend
  scheduling::lifecycle_options life;
  scheduling::gpu_need need;
  bool is_pinned = false;
  // Probabilities, each for one run.
  double load_fails = 0, load_hangs = 0, crashes = 0, hangs = 0;
  duration load_time{};
  duration shortest_service{}, longest_service{};
  duration queue_timeout{};
  double may_be_resent = 1;  // the share of its requests that can be preempted
  double says_keep = 0;      // the share of those that say how long it stays loaded
};

// The mean time between two faults of each kind; `duration::max()`: it never happens.
struct fault_setup {
  duration runtime_crash, queue_death, backend_death, pool_death, clients_gone, preemption,
      change;  // of a model's options
};

struct setup {
  scheduling::arbiter_options machine;
  std::vector<model_setup> models;
  std::uint32_t shards = 1;
  std::uint32_t principals = 4;
  bool same_urgency = false;    // all tickets are of one class and priority
  std::uint32_t outsiders = 0;  // holders of leases that are no models
  duration arrival_gap{};       // mean, between two clients
  fault_setup faults{};
  duration longest_wait{};    // of a model with tickets, until one of them ends
  std::uint64_t steps = 0;    // until clients stop coming
  bool stops_in_use = false;  // it is shut down while clients still come
};

inline constexpr std::uint64_t gib = 1ull << 30;
inline constexpr std::uint32_t most_shards = 4;

// Of one request, half of them its prompt.
inline constexpr std::uint64_t longest_request_tokens = 1000;

setup random_setup(world& w);

}  // namespace signalbox::simulation
