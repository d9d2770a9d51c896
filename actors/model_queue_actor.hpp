// The actor around scheduling::model_queue. Each model has one.
#pragma once

#include "actors/actors.hpp"
#include "actors/model_table.hpp"
#include "actors/status_board.hpp"
#include "config/settings.hpp"

namespace signalbox {

// The parts of the program that a queue works with.
struct model_queue_options {
  served_model_ptr model;
  const config::settings* settings = nullptr;  // outlives the actor, as does the board
  status_board* board = nullptr;
  std::size_t shards = 0;  // only when all have attached is it known that nothing is in flight
  std::uint32_t life = 0;  // how often the model's queue was restarted
};

// The queue starts closed. It knows no backend, no lease pool and no shard until they are sent to
// it.
model_queue_actor spawn_model_queue(caf::actor_system& system, const model_queue_options& options);

}  // namespace signalbox
