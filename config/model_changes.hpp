// Compares two readings of the configuration: the models one by one, and all else by the paths of
// the options.
#pragma once

#include <string>
#include <vector>

#include "config/settings.hpp"

namespace signalbox::config {

// The parts of a model's options that changed.
enum class model_change : std::uint8_t {
  nothing,
  rules,   // the gateway's own: aliases, limits of the queue, timeouts of requests
  runtime  // anything else: it is in force only with a new backend
};
model_change compare(const model_options& now, const model_options& next);

// Returns the paths of the options that differ, in the order of the schema. Models are left out,
// and a list of others, such as keys[], counts as one option.
std::vector<std::string> changed_options(const settings& now, const settings& next);

}  // namespace signalbox::config
