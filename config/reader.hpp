// Fills settings from YAML, by the table of options.
#pragma once

#include <string>

#include "config/problems.hpp"
#include "config/settings.hpp"

namespace signalbox::config {

// Throws config_error at once when the text is not YAML; adds all other problems to `problems`.
void read_yaml(const std::string& text, const std::string& name, settings& out,
               problem_list& problems);

}  // namespace signalbox::config
