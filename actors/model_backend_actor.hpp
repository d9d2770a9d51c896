// The shell of scheduling::model_lifecycle and the owner of a runtime: one for each model.
#pragma once

#include "actors/actors.hpp"
#include "actors/model_table.hpp"
#include "actors/status_board.hpp"
#include "config/settings.hpp"
#include "runtimes/driver.hpp"

namespace signalbox {

struct model_backend_options {
  served_model_ptr model;
  backend_id backend = 0;
  const config::settings* settings = nullptr;  // outlives the actor, as do the next two
  runtimes::runtime_driver* driver = nullptr;
  status_board* board = nullptr;
  queue_control_actor queue;
  gpu_lease_actor leases;
  crash_log_actor crashes;
};

// Its end, however it comes, ends the runtime too.
model_backend_actor spawn_model_backend(caf::actor_system& system,
                                        const model_backend_options& options);

}  // namespace signalbox
