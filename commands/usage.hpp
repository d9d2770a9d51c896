// signalbox usage: who used what, as a table or as CSV, without a running gateway or beside one.
#pragma once

#include <CLI/App.hpp>

#include <functional>
#include <optional>

#include "config/settings.hpp"

namespace signalbox::commands {

// As add_keys.
std::function<std::optional<int>()> add_usage(CLI::App& app,
                                              std::function<config::settings()> load);

}  // namespace signalbox::commands
