// The gateway in a simulated world: the production cores and each shard's production gate, with
// thin shells where the actors are, and simulated clients, runtimes and other lease holders.
//
//   client → shard (admission_gate) ⇄ queue_shell (model_queue) ⇄ backend_shell (model_lifecycle)
//                                        └── demand → pool_shell (lease_arbiter) ⇄ ──┘
//   supervisor_shell: starts all shells, and anew what dies      machine: memory and runtimes
//
// Rules are checked where something happens (queue_rules, shard_rules, machine), and by check()
// after every step.
#pragma once

#include <memory>
#include <vector>

#include "tests/simulation/machine.hpp"
#include "tests/simulation/setup.hpp"
#include "tests/simulation/shard.hpp"
#include "tests/simulation/supervisor_shell.hpp"
#include "tests/simulation/world.hpp"

namespace signalbox::simulation {

// Counts the events of a world, so that a test can see that enough happened.
struct totals {
  std::uint64_t steps = 0, clients = 0, granted = 0, by_credit = 0, refused = 0, preempted = 0,
                loads = 0, hangs = 0, swaps = 0, deaths = 0;

  void add(const totals& more);
};

class gateway {
 public:
  gateway(world& time, setup given);
  gateway(const gateway&) = delete;

  void start();
  void client_arrives();
  void begin_stop();  // as control_plane::shutdown() does
  void end_stop();    // its grace is over: what still lives is killed

  // After every step.
  void check();
  bool is_attached() const;  // every queue has heard of every shard
  bool has_ended() const;    // no request is left
  void check_all_released() const;
  std::string describe() const;  // for a failure message

  // Traffic between the shards and a model's queue, and between that and its backends.
  static topic shards_of(model_index m) { return 2 * topic{m} + 1; }
  static topic backends_of(model_index m) { return 2 * topic{m} + 2; }
  void touch(model_index m) { touched_ |= 1u << m; }  // check() looks at it
  // A model's wait is bounded (longest_wait) from its last served request on, or from a fault on
  // that took away its place.
  void restart_wait(model_index m) { waits_since_[m] = w.now(); }
  void restart_all_waits();
  // The operator gives a model's backends another number of units, at most its first one.
  void change_units(model_index m, std::uint32_t count);
  std::uint32_t units(model_index m) const { return units_[m]; }
  void count_service(const http::admission_request& request, double cost);
  void check_token(fencing_token token);  // one that is granted

  world& w;
  const setup s;
  totals sum;
  machine gpus;
  supervisor_shell supervisor;
  std::vector<std::unique_ptr<shard>> shards;

 private:
  void check_queue(model_index m);
  void check_no_idle_unit(model_index m, const queue_shell& queue);
  void check_open(model_index m, const queue_shell& queue);
  bool is_quiet(model_index m) const;

  std::uint32_t touched_ = 0;
  fencing_token last_token_ = 0;
  std::vector<time_point> waits_since_;  // by model
  std::vector<std::uint32_t> units_;     // of each of a model's backends now, by model
};

}  // namespace signalbox::simulation
