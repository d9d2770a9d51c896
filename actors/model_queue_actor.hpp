// The shell of scheduling::admission: one for each model.
#pragma once

#include "actors/actors.hpp"
#include "actors/model_table.hpp"
#include "actors/status_board.hpp"
#include "config/settings.hpp"

namespace signalbox {

struct model_queue_options {
  served_model_ptr model;
  const config::settings* settings = nullptr;  // outlives the actor, as does the board
  status_board* board = nullptr;
  std::size_t shards = 0;  // that must attach before it can know that nothing is in flight
};

// It starts closed, knowing neither its backend nor the lease pool nor any shard: they are sent.
model_queue_actor spawn_model_queue(caf::actor_system& system, const model_queue_options& options);

}  // namespace signalbox
