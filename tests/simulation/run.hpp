// One world, from its first client to the last runtime's end.
#pragma once

#include <functional>
#include <string>

#include "tests/simulation/gateway.hpp"

namespace signalbox::simulation {

// Throws broken_rule, whose text has all that a person needs to repeat and to understand it.
totals run_world(std::uint64_t seed);

}  // namespace signalbox::simulation
