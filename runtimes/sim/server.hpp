// The HTTP side of the simulated runtime: routes, health, faults of single requests.
#pragma once

#include <memory>

#include "runtimes/sim/options.hpp"

namespace signalbox::sim {

// Serves until SIGTERM or SIGINT; returns the exit status of the process.
int run_server(const sim_options& options);

}  // namespace signalbox::sim
