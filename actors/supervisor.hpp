// Starts all other actors, wires them, and starts anew what dies, as often as restart_policy
// allows.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "actors/actors.hpp"
#include "actors/control_plane.hpp"
#include "actors/status_board.hpp"

namespace signalbox {

enum class child_kind : std::uint8_t {
  crash_log,
  usage_ledger,
  key_registry,
  login_guard,
  gpu_lease,
  model_queue,
  model_backend
};

// Serve these models from now on. Those that need new backends get them when they are next idle, or
// at once: then requests in flight have the drain timeout, and those that wait go on waiting.
struct change_models {
  std::vector<config::model_options> models;  // valid with the settings in force
  bool restart_now = false;
};

// To oneself, after the delay that restart_policy asked for.
struct restart_child {
  child_kind kind;
  model_index model;
};

using supervisor_actor = caf::typed_actor<
    // Every queue hears of the shard, those that are started later too. Answered when all that live
    // have it in their mailbox: what the shard sends from then on arrives after it.
    caf::replies_to<shard_attached>::with<bool>,
    // For the registry, and for every one that is started later.
    caf::replies_to<subscribe_keys>::with<bool>,
    // Answered when the new table is published; what has to drain goes on draining.
    caf::replies_to<change_models>::with<reload_report>,
    // From now on a death is no accident: nothing is started anew.
    caf::replies_to<stop_all>::with<bool>, caf::reacts_to<restart_child>>;

struct supervisor_options {
  const config::settings* settings = nullptr;  // all of these outlive the actor
  runtimes::runtime_driver* driver = nullptr;
  persistence::database* db = nullptr;
  metrics* recorder = nullptr;
  status_board* board = nullptr;
  std::function<std::uint32_t()> next_epoch;         // for each lease pool; see spawn_gpu_lease
  std::function<void(control_handles_ptr)> publish;  // at start and after every restart
  std::function<void()> on_fatal;                    // a restart budget is spent; once
};

supervisor_actor spawn_supervisor(caf::actor_system& system, const supervisor_options& options);

}  // namespace signalbox

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::restart_child)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::change_models)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::reload_report)
