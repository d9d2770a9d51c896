// Keeps crashes of runtimes in PostgreSQL, and as files in <data>/runtime_failures. The actor
// blocks on both, so it has its own thread.
#pragma once

#include <string>

#include "actors/actors.hpp"
#include "persistence/database.hpp"

namespace signalbox {

crash_log_actor spawn_crash_log(caf::actor_system& system, persistence::database& db,
                                const std::string& data_dir);

}  // namespace signalbox
