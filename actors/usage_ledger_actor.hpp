// Adds up usage and writes it to PostgreSQL. The actor blocks on the database, so it has its own
// thread.
#pragma once

#include <functional>

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "config/settings.hpp"
#include "persistence/database.hpp"

namespace signalbox {

// Both clocks are read for the day only (scheduling/day_clock.hpp).
usage_ledger_actor spawn_usage_ledger(
    caf::actor_system& system, const config::settings& settings, persistence::database& db,
    metrics& recorder,
    std::function<wall_time()> wall_clock = [] { return std::chrono::system_clock::now(); },
    std::function<time_point()> steady_clock = [] { return std::chrono::steady_clock::now(); });

}  // namespace signalbox
