// Adds up usage and writes it to PostgreSQL. It blocks there, so it has a thread of its own.
#pragma once

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "config/settings.hpp"
#include "persistence/database.hpp"

namespace signalbox {

usage_ledger_actor spawn_usage_ledger(caf::actor_system& system, const config::settings& settings,
                                      persistence::database& db, metrics& recorder);

}  // namespace signalbox
