// Shared by the tests of config: an environment made of a map, and files of the source tree.
#pragma once

#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>

#include "config/load.hpp"

namespace signalbox::config {

inline environment variables(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

inline std::string source_file(const std::string& path) {
  std::ifstream in(std::string(SIGNALBOX_SOURCE_DIR) + "/" + path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open " + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Returns the text of config_error; empty when the text loads.
inline std::string error_of(const std::string& yaml, const environment& env = variables({})) {
  try {
    load_text(yaml, "f", env);
    return "";
  } catch (const config_error& e) {
    return e.what();
  }
}

}  // namespace signalbox::config
