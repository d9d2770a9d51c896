// Adds up usage and writes it to PostgreSQL. The actor blocks on the database, so it has its own
// thread.
#pragma once

#include <functional>

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "config/settings.hpp"
#include "persistence/database.hpp"

namespace signalbox {

// `wall_clock` is read for the day of the usage.
usage_ledger_actor spawn_usage_ledger(
    caf::actor_system& system, const config::settings& settings, persistence::database& db,
    metrics& recorder,
    std::function<wall_time()> wall_clock = [] { return std::chrono::system_clock::now(); });

}  // namespace signalbox
