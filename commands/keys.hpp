// signalbox keys: keys of the database, made and changed without a running gateway or beside one,
// which knows within a second.
#pragma once

#include <CLI/App.hpp>

#include <functional>
#include <memory>

#include "config/settings.hpp"

namespace signalbox::commands {

// Adds the command to `app`. `load` reads the settings when it runs. The result is what to call
// once the command line was parsed: the exit status, if it was this command.
std::function<std::optional<int>()> add_keys(CLI::App& app, std::function<config::settings()> load);

}  // namespace signalbox::commands
