// Checks that every model of a configuration can be loaded at all, given the GPUs and the models
// that never give way.
#pragma once

#include "config/problems.hpp"
#include "config/settings.hpp"

namespace signalbox::config {

void check_placement(const settings& s, problem_list& problems);

}  // namespace signalbox::config
