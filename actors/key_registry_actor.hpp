// Owns keys and users in PostgreSQL and tells its listener of changes. The actor blocks on the
// database, so it has its own thread.
#pragma once

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "persistence/database.hpp"

namespace signalbox {

key_registry_actor spawn_key_registry(caf::actor_system& system, persistence::database& db,
                                      metrics& recorder);

}  // namespace signalbox
