// The actor around scheduling::model_queue. Each model has one.
#pragma once

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "actors/status_board.hpp"
#include "config/settings.hpp"

namespace signalbox {

// The parts of the program that a queue works with.
struct model_queue_options {
  model_index model = 0;
  const config::settings* settings = nullptr;  // outlives the actor, as do the next two
  metrics* recorder = nullptr;
  status_board* board = nullptr;
  std::size_t shards = 0;  // only when all have attached is it known that nothing is in flight
};

// The queue starts closed. It knows no backend, no lease pool and no shard until they are sent to
// it.
model_queue_actor spawn_model_queue(caf::actor_system& system, const model_queue_options& options);

}  // namespace signalbox
