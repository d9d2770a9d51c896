// Environment variables: overrides of options, and the secrets that options name.
#pragma once

#include "config/load.hpp"
#include "config/problems.hpp"

namespace signalbox::config {

void apply_environment(const environment& env, settings& out, problem_list& problems);
// Sets `token` of each key from the variable that its `token_env` names, and clears `token_env`.
void resolve_tokens(const environment& env, settings& out, problem_list& problems);
// Sets `api_key` of each model from the variable that its `api_key_env` names.
void resolve_api_keys(const environment& env, settings& out, problem_list& problems);

}  // namespace signalbox::config
