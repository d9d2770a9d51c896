// A bounded, strict view of yaml-cpp, for the settings and for YAML converted to JSON.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <string>

namespace signalbox::config {

inline constexpr std::size_t max_yaml_bytes = 1024 * 1024;
// Bounds the nodes that are visited: aliases let a small text stand for a huge tree.
inline constexpr std::size_t max_yaml_nodes = 100'000;

// Returns the only document in `text`. Throws config_error "name:line:column: …" on a syntax error,
// a second document or too much text.
YAML::Node parse_yaml(const std::string& text, const std::string& name);

unsigned line_of(const YAML::Node& node);  // from 1; 0: unknown
bool is_plain(const YAML::Node& node);     // a scalar without quotes or tag

}  // namespace signalbox::config
