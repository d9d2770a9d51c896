// JSON as the simulated runtime writes it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace signalbox::sim {

using json = nlohmann::ordered_json;

// What is no UTF-8 is replaced.
inline std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace signalbox::sim
