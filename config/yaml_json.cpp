// Converts YAML to JSON, for the API contract: written in YAML, served as JSON.
#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "config/load.hpp"
#include "config/yaml.hpp"

namespace signalbox::config {
namespace {

using json = nlohmann::ordered_json;

[[noreturn]] void fail(const YAML::Node& node, const std::string& why) {
  throw config_error(fmt::format("yaml:{}: {}", line_of(node), why));
}

template <class T>
bool parse_all(const std::string& text, T& out) {
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, out);
  return error == std::errc{} && rest == end;
}

// Recognizes a number as YAML 1.2's JSON schema does. Anything else, such as 010 or .5, stays a
// text.
bool looks_like_number(const std::string& text) {
  std::string_view digits = text;
  if (digits.starts_with('-')) digits.remove_prefix(1);
  if (digits.empty() || !std::isdigit(static_cast<unsigned char>(digits[0]))) return false;
  return digits.size() == 1 || digits[0] != '0' || digits[1] == '.' || digits[1] == 'e' ||
         digits[1] == 'E';
}

json from_plain(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  if (text == "null" || text == "~" || text.empty()) return nullptr;
  if (looks_like_number(text)) {
    if (std::int64_t number = 0; parse_all(text, number)) return number;
    if (std::uint64_t number = 0; parse_all(text, number)) return number;
    if (double number = 0; parse_all(text, number) && std::isfinite(number)) return number;
  }
  return text;
}

class converter {
 public:
  json convert(const YAML::Node& node, std::size_t depth = 0) {
    constexpr std::size_t max_depth = 200;  // an alias inside its own anchor never ends
    if (depth > max_depth) fail(node, "found values nested too deeply");
    if (++visited_ > max_yaml_nodes) fail(node, "found too many values (aliases count each time)");
    if (node.IsScalar()) {
      return is_plain(node) ? from_plain(node.Scalar()) : json(node.Scalar());
    }
    if (node.IsSequence()) {
      json list = json::array();
      for (const auto& entry : node) list.push_back(convert(entry, depth + 1));
      return list;
    }
    return node.IsMap() ? convert_map(node, depth) : json(nullptr);
  }

 private:
  json convert_map(const YAML::Node& node, std::size_t depth) {
    json object = json::object();
    std::set<std::string> seen;  // ordered_json looks keys up one by one
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) fail(entry.first, "found a key that is no text");
      const std::string& key = entry.first.Scalar();
      if (!seen.insert(key).second) fail(entry.first, "found a key a second time: " + key);
      object.push_back({key, convert(entry.second, depth + 1)});
    }
    return object;
  }

  std::size_t visited_ = 0;
};

}  // namespace

std::string yaml_to_json(const std::string& yaml) {
  try {
    return converter().convert(parse_yaml(yaml, "yaml")).dump();
  } catch (const nlohmann::json::exception& e) {
    throw config_error(fmt::format("yaml: {}", e.what()));  // thrown for text that is not UTF-8
  }
}

}  // namespace signalbox::config
