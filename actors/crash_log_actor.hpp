// Keeps crashes in PostgreSQL. It blocks there, so it has a thread of its own.
#pragma once

#include "actors/actors.hpp"
#include "persistence/database.hpp"

namespace signalbox {

crash_log_actor spawn_crash_log(caf::actor_system& system, persistence::database& db);

}  // namespace signalbox
