// The table of options as JSON Schema (draft 2020-12), for editors.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "config/load.hpp"
#include "config/schema.hpp"
#include "config/values.hpp"

namespace signalbox::config {
namespace {

using json = nlohmann::ordered_json;

json text_schema(const option& o) {
  json schema{{"type", "string"}};
  if (!o.words.empty()) {
    schema["enum"] = o.words;
  } else if (o.kind == value_kind::text) {
    if (o.min > 0) schema["minLength"] = static_cast<int>(o.min);
    schema["maxLength"] = static_cast<int>(o.max);
  }
  return schema;
}

json type_schema(const option& o) {
  auto whole = [](double number) { return static_cast<std::uint64_t>(number); };
  switch (o.kind) {
    case value_kind::boolean:
      return {{"type", "boolean"}};
    case value_kind::integer:
      return {{"type", "integer"}, {"minimum", whole(o.min)}, {"maximum", whole(o.max)}};
    case value_kind::seconds:
      return {{"type", "number"}, {"minimum", o.min}, {"maximum", o.max}};
    case value_kind::size:
      return {{"type", {"integer", "string"}},
              {"minimum", whole(o.min)},
              {"maximum", whole(o.max)},
              {"pattern", "^(0|[1-9][0-9]*)( ?([kMGT]B|[KMGT]iB))?$"}};
    case value_kind::text:
      return text_schema(o);
    case value_kind::text_list:
      return {{"type", "array"},
              {"minItems", whole(o.min)},
              {"maxItems", whole(o.max)},
              {"items", text_schema(o)}};
  }
  return {};
}

// Returns nothing when the default cannot be written in a file ("not given").
std::optional<json> default_value(const option& o) {
  static const settings defaults = [] {
    settings s;
    for (const section& list : sections()) {
      if (list.is_list()) list.resize(s, 1);
    }
    return s;
  }();
  value v = o.get(defaults, 0);
  if (o.required || o.secret || out_of_bounds(o, v)) return std::nullopt;
  if (o.kind == value_kind::size) return show(o, v);
  return std::visit([](const auto& plain) { return json(plain); }, v);
}

json option_schema(const option& o) {
  json schema = type_schema(o);
  schema["description"] = o.variable.empty()
                              ? o.description
                              : fmt::format("{} Environment: {}.", o.description, o.variable);
  if (auto fallback = default_value(o)) schema["default"] = *fallback;
  return schema;
}

json object_schema(const std::string& path) {
  json properties = json::object();
  json required = json::array();
  for (const std::string& key : keys_under(path)) {
    std::string child = path.empty() ? key : path + "." + key;
    if (const option* o = find_option(child)) {
      properties[key] = option_schema(*o);
      if (o->required) required.push_back(key);
    } else if (const section* inner = find_section(child)) {
      properties[key] = object_schema(child);
      properties[key]["description"] = inner->description;
    } else {
      const section& list = *find_section(child + "[]");
      properties[key] = {{"type", "array"},
                         {"description", list.description},
                         {"maxItems", list.max_elements},
                         {"items", object_schema(child + "[]")}};
    }
  }
  json schema{{"type", "object"}, {"additionalProperties", false}, {"properties", properties}};
  if (!required.empty()) schema["required"] = required;
  return schema;
}

}  // namespace

std::string json_schema() {
  json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
              {"title", "Signalbox configuration"}};
  schema.update(object_schema(""));
  schema["required"] = {"models"};
  return schema.dump(2) + "\n";
}

}  // namespace signalbox::config
