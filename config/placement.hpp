// Can every model of a configuration be loaded at all, given the GPUs and who never yields?
#pragma once

#include "config/problems.hpp"
#include "config/settings.hpp"

namespace signalbox::config {

void check_placement(const settings& s, problem_list& problems);

}  // namespace signalbox::config
