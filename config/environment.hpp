// Overrides from environment variables, and secrets that stand there.
#pragma once

#include "config/load.hpp"
#include "config/problems.hpp"

namespace signalbox::config {

void apply_environment(const environment& env, settings& out, problem_list& problems);
// Fills token from token_env, and clears that.
void resolve_tokens(const environment& env, settings& out, problem_list& problems);

}  // namespace signalbox::config
