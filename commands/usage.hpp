// signalbox usage: prints usage as a table or as CSV, with or without a running gateway.
#pragma once

#include <CLI/App.hpp>

#include <functional>
#include <optional>

#include "config/settings.hpp"

namespace signalbox::commands {

// Works like add_keys().
std::function<std::optional<int>()> add_usage(CLI::App& app,
                                              std::function<config::settings()> load);

}  // namespace signalbox::commands
