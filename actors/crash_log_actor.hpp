// Keeps crashes of runtimes in PostgreSQL. The actor blocks on the database, so it has its own
// thread.
#pragma once

#include "actors/actors.hpp"
#include "persistence/database.hpp"

namespace signalbox {

crash_log_actor spawn_crash_log(caf::actor_system& system, persistence::database& db);

}  // namespace signalbox
