// signalbox users: makes and changes the users who log in with a password, with or without a
// running gateway. A running one notices within a second.
#pragma once

#include <CLI/App.hpp>

#include <functional>
#include <optional>

#include "config/settings.hpp"

namespace signalbox::commands {

// Works like add_keys().
std::function<std::optional<int>()> add_users(CLI::App& app,
                                              std::function<config::settings()> load);

}  // namespace signalbox::commands
