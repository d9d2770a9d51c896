// signalbox users: people who log in with a password, made and changed without a running gateway or
// beside one, which knows within a second.
#pragma once

#include <CLI/App.hpp>

#include <functional>
#include <optional>

#include "config/settings.hpp"

namespace signalbox::commands {

// As add_keys().
std::function<std::optional<int>()> add_users(CLI::App& app,
                                              std::function<config::settings()> load);

}  // namespace signalbox::commands
