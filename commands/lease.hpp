// signalbox lease: runs a command while it has a GPU lease of a gateway.
#pragma once

#include <CLI/App.hpp>

#include <functional>
#include <optional>
#include <string>

namespace signalbox::commands {

// Works like add_keys(); `data_dir` returns the data folder of the gateway. The exit status is that
// of the command, 128 and its number for one that a signal ended, or 75 when the wait was too long.
std::function<std::optional<int>()> add_lease(CLI::App& app, std::function<std::string()> data_dir);

}  // namespace signalbox::commands
