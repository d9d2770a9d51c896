// What is different in another reading of the configuration: its models one by one, all else by the
// paths of the options.
#pragma once

#include <string>
#include <vector>

#include "config/settings.hpp"

namespace signalbox::config {

// How much of a model changed.
enum class model_change : std::uint8_t {
  nothing,
  rules,   // what the gateway itself keeps to: aliases, limits of the queue, timeouts of requests
  runtime  // what its runtime was started with, or its lifecycle goes by: needs a new backend
};
model_change compare(const model_options& now, const model_options& next);

// Returns the paths of the options outside of models[] that differ, "keys[]" and "gpus[]" for
// anything inside of these; in the order of the schema.
std::vector<std::string> changed_options(const settings& now, const settings& next);

}  // namespace signalbox::config
