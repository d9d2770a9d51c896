// Checks that the options of training go together.
#pragma once

#include "config/problems.hpp"
#include "config/settings.hpp"

namespace signalbox::config {

void check_training(const settings& s, problem_list& problems);

}  // namespace signalbox::config
