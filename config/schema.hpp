// The table of all options: where each stands in YAML, what it may hold, what it is for, and which
// member of settings it fills. The reader, the errors, the JSON Schema and the environment
// variables all use it.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/settings.hpp"

namespace signalbox::config {

using value = std::variant<bool, std::uint64_t, double, std::string, std::vector<std::string>>;

enum class value_kind : std::uint8_t { boolean, integer, seconds, size, text, text_list };

struct option {
  std::string path;  // "models[].gpu.memory"
  value_kind kind;
  // Inclusive bounds of a number, of a text's bytes, or of a list's entries.
  double min;
  double max;
  std::string description;
  std::function<void(settings&, std::size_t, const value&)> set;  // index of the list element
  std::function<value(const settings&, std::size_t)> get;
  std::vector<std::string> words = {};  // the only values allowed; empty: any
  std::string variable = {};            // environment variable that overrides it
  bool required = false;
  bool secret = false;     // its value is never shown in an error
  bool multiline = false;  // a text may hold newlines and tabs
};

struct section {
  std::string path;  // "server", "models[]", "models[].gpu"
  std::string description;
  // For lists ("…[]") only:
  std::size_t max_elements = 0;
  std::function<void(settings&, std::size_t)> resize = nullptr;
  std::function<std::size_t(const settings&)> size = nullptr;

  bool is_list() const { return static_cast<bool>(resize); }
};

const std::vector<option>& options();
const std::vector<section>& sections();

const option* find_option(std::string_view path);
const section* find_section(std::string_view path);
// Returns the list that the path of the option goes through, or nullptr.
const section* list_of(const option& o);
// Inserts the index: "models[].gpu.memory" and 2 give "models[2].gpu.memory".
std::string element_path(const option& o, std::size_t index);
// Returns the option names of a section, in the order of the table; "" is the top level.
std::vector<std::string> keys_under(std::string_view section_path);

}  // namespace signalbox::config
