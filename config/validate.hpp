// The rules of validate(), for a list of problems that may know line numbers.
#pragma once

#include "config/problems.hpp"
#include "config/settings.hpp"

namespace signalbox::config {

// Checks the bounds of each option, then the relations between options.
void check(const settings& s, problem_list& problems);

}  // namespace signalbox::config
