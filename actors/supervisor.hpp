// Starts all other actors, makes them known to each other, and starts those again that die, as
// often as restart_policy allows.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "actors/actors.hpp"
#include "actors/control_plane.hpp"
#include "actors/status_board.hpp"

namespace signalbox {

// The kinds of actors that the supervisor starts.
enum class child_kind : std::uint8_t {
  crash_log,
  usage_ledger,
  key_registry,
  login_guard,
  gpu_lease,
  outside_leases,
  model_queue,
  model_backend
};

// Asks for these models to be served from now on. A model that needs a new backend gets it when the
// old one is idle next. With `restart_now` the old one ends at once: requests in flight have the
// drain timeout to end, and waiting ones keep their places.
struct change_models {
  std::vector<config::model_options> models;  // valid with the settings in force
  bool restart_now = false;
};

// The supervisor's message to itself, after the delay that restart_policy asked for.
struct restart_child {
  child_kind kind;
  model_index model;
};

// Starts all other actors, restarts those that end, and owns the list of models.
using supervisor_actor = caf::typed_actor<
    // Introduces the shard to every queue, and to those that start later. The answer comes when all
    // living queues have it in their mailbox, so that the shard's messages arrive after it.
    caf::replies_to<shard_attached>::with<bool>,
    // Subscribes at the key registry, and at every one that starts later.
    caf::replies_to<subscribe_keys>::with<bool>,
    // Changes the models. The answer comes when the new table is published; backends that drain may
    // not have ended by then.
    caf::replies_to<change_models>::with<reload_report>,
    // Nothing that ends from now on is started again.
    caf::replies_to<stop_all>::with<bool>, caf::reacts_to<restart_child>>;

// The parts of the program that the actors work with.
struct supervisor_options {
  const config::settings* settings = nullptr;  // all of these outlive the actor
  runtimes::runtime_driver* driver = nullptr;
  persistence::database* db = nullptr;
  metrics* recorder = nullptr;
  status_board* board = nullptr;
  std::function<std::uint32_t()> next_epoch;  // called by each lease pool; see spawn_gpu_lease
  std::function<void(control_handles_ptr)> publish;  // called at start and after every restart
  std::function<void()> on_fatal;                    // called once, when a restart budget is spent
};

supervisor_actor spawn_supervisor(caf::actor_system& system, const supervisor_options& options);

}  // namespace signalbox

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::restart_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::change_models)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::reload_report)
