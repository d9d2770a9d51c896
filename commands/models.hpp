// signalbox models, start, stop, switch, drain, resume, logs: what operators ask a running gateway
// about its models.
#pragma once

#include <CLI/App.hpp>

#include <functional>
#include <optional>
#include <string>

namespace signalbox::commands {

// Works like add_keys(), for all of these commands; `data_dir` returns the data folder of the
// gateway.
std::function<std::optional<int>()> add_models(CLI::App& app,
                                               std::function<std::string()> data_dir);

}  // namespace signalbox::commands
