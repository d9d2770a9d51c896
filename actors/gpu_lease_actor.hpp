// The lease pool: the actor around scheduling::lease_arbiter. The machine has one.
#pragma once

#include <cstdint>
#include <functional>

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "actors/status_board.hpp"
#include "config/settings.hpp"

namespace signalbox {

// The actor calls `next_epoch` once; that may take a second. Each call returns a greater number, so
// that every token is greater than all tokens of earlier pools. An exception from it ends the
// actor.
gpu_lease_actor spawn_gpu_lease(caf::actor_system& system, const config::settings& settings,
                                metrics& recorder, status_board& board,
                                std::function<std::uint32_t()> next_epoch);

}  // namespace signalbox
