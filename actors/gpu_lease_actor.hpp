// The shell of scheduling::lease_arbiter: one for the machine.
#pragma once

#include <cstdint>
#include <functional>

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "actors/status_board.hpp"
#include "config/settings.hpp"

namespace signalbox {

// `next_epoch` is called once, by the actor, and may take a second: each call gives a greater
// number, and so every token is greater than any of a pool before. What it throws ends the actor.
gpu_lease_actor spawn_gpu_lease(caf::actor_system& system, const config::settings& settings,
                                metrics& recorder, status_board& board,
                                std::function<std::uint32_t()> next_epoch);

}  // namespace signalbox
