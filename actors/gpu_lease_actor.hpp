// The shell of scheduling::lease_arbiter: one for the machine.
#pragma once

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "actors/status_board.hpp"
#include "config/settings.hpp"

namespace signalbox {

gpu_lease_actor spawn_gpu_lease(caf::actor_system& system, const config::settings& settings,
                                metrics& recorder, status_board& board);

}  // namespace signalbox
