// The rules of validate(), for a list of problems that may know lines.
#pragma once

#include "config/problems.hpp"
#include "config/settings.hpp"

namespace signalbox::config {

// Each option by its bounds, then the relations between options.
void check(const settings& s, problem_list& problems);

}  // namespace signalbox::config
