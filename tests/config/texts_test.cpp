// The texts made of the table: the example file, the JSON Schema; and YAML to JSON.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "config/schema.hpp"
#include "config/values.hpp"
#include "tests/config/support.hpp"

using namespace signalbox::config;
using nlohmann::json;

namespace {

const environment example_environment = variables({{"OPS_KEY", "0123456789abcdef"}});

std::string last_key(const std::string& path) {
  return path.substr(path.rfind('.') + 1);
}

// Validates as far as our schema needs it: type, enum, bounds, required, properties. Returns the
// first complaint.
std::string complaint(const json& schema, const json& value, const std::string& path);

bool is_a(const std::string& type, const json& value) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return value.type_name() == type;
}

bool has_type(const json& types, const json& value) {
  if (types.is_string()) return is_a(types, value);
  return std::any_of(types.begin(), types.end(),
                     [&](const json& type) { return is_a(type, value); });
}

std::string object_complaint(const json& schema, const json& value, const std::string& path) {
  for (const json& key : schema.value("required", json::array())) {
    if (!value.contains(key)) return path + ": missing " + key.get<std::string>();
  }
  for (const auto& [key, child] : value.items()) {
    if (!schema.at("properties").contains(key)) return path + ": unknown " + key;
    auto bad = complaint(schema.at("properties").at(key), child, path + "." + key);
    if (!bad.empty()) return bad;
  }
  return "";
}

std::string complaint(const json& schema, const json& value, const std::string& path) {
  if (!has_type(schema.at("type"), value)) return path + ": type";
  json words = schema.value("enum", json::array({value}));
  if (std::find(words.begin(), words.end(), value) == words.end()) return path + ": enum";
  if (value.is_number() && schema.contains("minimum") &&
      (value < schema["minimum"] || value > schema["maximum"])) {
    return path + ": range";
  }
  if (value.is_object()) return object_complaint(schema, value, path);
  if (value.is_array()) {
    for (const json& entry : value) {
      auto bad = complaint(schema.at("items"), entry, path + "[]");
      if (!bad.empty()) return bad;
    }
  }
  return "";
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_example_loads) {
  settings s =
      load_text(source_file("config/signalbox.example.yaml"), "example", example_environment);
  BOOST_TEST(s.models.size() == 2u);
}

BOOST_AUTO_TEST_CASE(the_example_shows_every_option) {
  std::istringstream lines(source_file("config/signalbox.example.yaml"));
  std::set<std::string> shown;
  for (std::string line; std::getline(lines, line);) {
    auto begin = line.find_first_not_of(" #-");
    auto colon = line.find(':');
    if (begin != std::string::npos && colon != std::string::npos && begin < colon) {
      shown.insert(line.substr(begin, colon - begin));
    }
  }
  std::string text = source_file("config/signalbox.example.yaml");
  for (const option& o : options()) {
    BOOST_TEST(shown.contains(last_key(o.path)), o.path << " is not in the example");
    BOOST_TEST((o.variable.empty() || text.find(o.variable) != std::string::npos), o.variable);
  }
}

// Outside of lists the example holds the defaults themselves; the first model does, too, where a
// default can be written.
BOOST_AUTO_TEST_CASE(the_example_tells_the_true_defaults) {
  settings example =
      load_text(source_file("config/signalbox.example.yaml"), "example", example_environment);
  settings defaults;
  defaults.keys.resize(1);
  defaults.gpus.resize(1);
  defaults.models.resize(1);
  const std::set<std::string> told_in_words{"models[].aliases", "models[].environment",
                                            "models[].upstream_model", "models[].gpu.memory",
                                            "models[].command"};
  for (const option& o : options()) {
    bool in_list = list_of(o) != nullptr && !o.path.starts_with("models[]");
    if (in_list || o.required || told_in_words.contains(o.path)) continue;
    BOOST_TEST(show(o, o.get(example, 0)) == show(o, o.get(defaults, 0)), o.path);
    BOOST_TEST((o.get(example, 0) == o.get(defaults, 0)), o.path);
  }
}

BOOST_AUTO_TEST_CASE(the_committed_schema_is_the_table) {
  BOOST_TEST((source_file("config/signalbox.schema.json") == json_schema()),
             "config/signalbox.schema.json is old; make it again with: signalbox check-config "
             "--print-schema > config/signalbox.schema.json");
}

BOOST_AUTO_TEST_CASE(the_schema_accepts_the_example_and_the_demo) {
  json schema = json::parse(json_schema());
  BOOST_TEST(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema");
  for (const char* file : {"config/signalbox.example.yaml", "config/demo.yaml"}) {
    BOOST_TEST(complaint(schema, json::parse(yaml_to_json(source_file(file))), "") == "");
  }
  for (const char* bad :
       {"{}", "{models: {}}", "{models: [{}]}", "{models: [], x: 1}", "{models: [{name: 1}]}",
        "{models: [], server: {shards: 257}}", "{models: [{name: a, driver: docker}]}"}) {
    BOOST_TEST(complaint(schema, json::parse(yaml_to_json(bad)), "") != "", bad);
  }
}

BOOST_AUTO_TEST_CASE(every_default_passes_its_own_bounds) {
  settings defaults;
  for (const option& o : options()) {
    if (list_of(o) != nullptr) continue;
    BOOST_TEST(out_of_bounds(o, o.get(defaults, 0)).value_or("") == "", o.path);
  }
}

BOOST_AUTO_TEST_CASE(every_option_can_be_set_and_read_back) {
  for (const option& o : options()) {
    settings s;
    if (const section* list = list_of(o)) list->resize(s, 2);
    std::size_t index = list_of(o) != nullptr ? 1 : 0;
    value written = o.get(s, index);
    if (std::holds_alternative<bool>(written))
      written = !std::get<bool>(written);
    else if (std::holds_alternative<std::uint64_t>(written))
      written = std::uint64_t{77};
    else if (std::holds_alternative<double>(written))
      written = 7.5;
    else if (std::holds_alternative<std::string>(written)) {
      written = o.words.empty() ? "text" : o.words.back();
    } else {
      written = std::vector<std::string>{"x"};
    }
    BOOST_TEST((o.get(s, index) != written), o.path);
    o.set(s, index, written);
    BOOST_TEST((o.get(s, index) == written), o.path);
  }
}

BOOST_AUTO_TEST_CASE(sizes_round_trip) {
  for (std::uint64_t bytes : {0ull, 1ull, 1000ull, 1024ull, 1536ull, 32ull << 20, 24ull << 30,
                              5ull << 40, 18446744073709551615ull}) {
    BOOST_TEST((parse_size(format_size(bytes)) == bytes), bytes);
  }
  BOOST_TEST((parse_size("2 TB") == 2000000000000u));
  for (const char* bad : {"", "GiB", "1.5GiB", "-1", "1  MiB", " 1", "1 ", "0x10", "1mib",
                          "18446744073709551616", "16777216TiB", "01"}) {
    BOOST_TEST(!parse_size(bad).has_value(), bad);
  }
}

BOOST_AUTO_TEST_CASE(yaml_becomes_json) {
  const std::pair<const char*, const char*> cases[] = {
      {"a: 1\nb: -2.5\nc: 1e3\nd: true\ne: null\nf: ~\ng:",
       R"({"a":1,"b":-2.5,"c":1000.0,"d":true,"e":null,"f":null,"g":null})"},
      {"a: '1'\nb: \"true\"\nc: !!str 5\nd: |\n  null\n",
       R"({"a":"1","b":"true","c":"5","d":"null\n"})"},
      {"openapi: 3.1.0\na: 010\nb: .5\nc: yes\nd: 1_000\ne: 0x10\nh: 1e999",
       R"({"openapi":"3.1.0","a":"010","b":".5","c":"yes","d":"1_000","e":"0x10","h":"1e999"})"},
      {"a: -0\nb: 0.5\nc: 18446744073709551615\nd: -9223372036854775808",
       R"({"a":0,"b":0.5,"c":18446744073709551615,"d":-9223372036854775808})"},
      {"200: {z: 1, a: 2}", R"({"200":{"z":1,"a":2}})"},
      {"[1, [], {}, é]", R"([1,[],{},"é"])"},
      {"a: &x {b: 1}\nc: *x", R"({"a":{"b":1},"c":{"b":1}})"},
      {"", "null"},
  };
  for (const auto& [yaml, text] : cases) BOOST_TEST(yaml_to_json(yaml) == text);
}

BOOST_AUTO_TEST_CASE(yaml_that_is_no_json_is_refused) {
  auto error = [](const std::string& yaml) -> std::string {
    try {
      return "accepted: " + yaml_to_json(yaml);
    } catch (const config_error& e) {
      return e.what();
    }
  };
  BOOST_TEST(error("a: 1\na: 2") == "yaml:2: found a key a second time: a");
  BOOST_TEST(error("? [a]\n: 1") == "yaml:1: found a key that is no text");
  BOOST_TEST(error("a: [") == "yaml:1:1: end of sequence flow not found");
  BOOST_TEST(error("&a [*a]") == "yaml:1: found values nested too deeply");
  std::string bomb = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    std::string alias = "*a" + std::to_string(i - 1);
    bomb += "- &a" + std::to_string(i) + " [" + alias;
    for (int k = 0; k < 9; ++k) bomb += ", " + alias;
    bomb += "]\n";
  }
  BOOST_TEST(error(bomb).find("found too many values") != std::string::npos);
}
