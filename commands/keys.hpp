// signalbox keys: makes and changes keys in the database, with or without a running gateway. A
// running one notices within a second.
#pragma once

#include <CLI/App.hpp>

#include <functional>
#include <memory>
#include <optional>

#include "config/settings.hpp"

namespace signalbox::commands {

// Adds the command to `app`. `load` reads the settings when the command runs. Returns a function to
// call after parsing: it runs the command if it was given, and returns its exit status.
std::function<std::optional<int>()> add_keys(CLI::App& app, std::function<config::settings()> load);

}  // namespace signalbox::commands
