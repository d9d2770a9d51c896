// signalbox reload: has a running gateway read its configuration again.
#pragma once

#include <CLI/App.hpp>

#include <functional>
#include <optional>
#include <string>

namespace signalbox::commands {

// Works like add_keys(); `data_dir` returns the data folder of the gateway.
std::function<std::optional<int>()> add_reload(CLI::App& app,
                                               std::function<std::string()> data_dir);

}  // namespace signalbox::commands
