// Owns keys and users in PostgreSQL and tells who answers for them what changed. It blocks there,
// so it has a thread of its own.
#pragma once

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "persistence/database.hpp"

namespace signalbox {

key_registry_actor spawn_key_registry(caf::actor_system& system, persistence::database& db,
                                      metrics& recorder);

}  // namespace signalbox
