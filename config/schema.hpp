// The one table of options: where each stands in YAML, what it may hold, what it is for, and which
// member of settings it fills. Reading, errors, the JSON Schema and the environment come from it.
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
  // Inclusive: the number itself, the bytes of a text, or the entries of a list.
  double min;
  double max;
  std::string description;
  std::function<void(settings&, std::size_t, const value&)> set;  // index: of the list element
  std::function<value(const settings&, std::size_t)> get;
  std::vector<std::string> words = {};  // if any: the only ones allowed
  std::string variable = {};            // environment variable that overrides it
  bool required = false;
  bool secret = false;     // never shown in an error
  bool multiline = false;  // a text may hold newlines and tabs
};

struct section {
  std::string path;  // "server", "models[]", "models[].gpu"
  std::string description;
  // Only for a list ("…[]"):
  std::size_t max_elements = 0;
  std::function<void(settings&, std::size_t)> resize = nullptr;
  std::function<std::size_t(const settings&)> size = nullptr;

  bool is_list() const { return static_cast<bool>(resize); }
};

const std::vector<option>& options();
const std::vector<section>& sections();

const option* find_option(std::string_view path);
const section* find_section(std::string_view path);
// The list that the option's path goes through; nullptr: none.
const section* list_of(const option& o);
// "models[].gpu.memory" and 2 give "models[2].gpu.memory".
std::string element_path(const option& o, std::size_t index);
// The names that may stand under a section, in the order of the table; "" is the top level.
std::vector<std::string> keys_under(std::string_view section_path);

}  // namespace signalbox::config
