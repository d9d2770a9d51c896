// The settings that reach the program: defaults, file, environment, in this order; the demo;
// validate().
#include <stdlib.h>
#include <unistd.h>
#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "config/address.hpp"
#include "tests/config/support.hpp"

using namespace signalbox::config;

namespace {

const std::string one_model = "models: [{name: m, command: [run, '{port}']}]\n";

std::string validation_error(const settings& s) {
  try {
    validate(s);
    return "";
  } catch (const config_error& e) {
    return e.what();
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(without_a_file_it_is_the_demo) {
  settings s = load(std::nullopt, variables({}));
  BOOST_TEST_REQUIRE(s.models.size() == 3u);
  const model_options& demo = s.models[0];
  BOOST_TEST(demo.name == "demo");
  BOOST_TEST(demo.aliases == std::vector<std::string>{"gemma-3-4b-it"});
  BOOST_TEST((demo.driver == driver_kind::process));
  BOOST_TEST(demo.command == (std::vector<std::string>{"signalbox-sim-runtime", "--port", "{port}",
                                                       "--model", "{model}"}));
  BOOST_TEST(demo.gpu_memory == 16 * gib);
  BOOST_TEST(demo.max_concurrent == 10u);
  BOOST_TEST(s.models[1].name == "demo-large");
  BOOST_TEST(s.models[2].gpu_memory == 0u);
  BOOST_TEST_REQUIRE(s.gpus.size() == 1u);
  BOOST_TEST(demo.gpu_memory + s.models[1].gpu_memory > s.gpus[0].memory);  // hence a swap
  BOOST_TEST(s.keys.empty());
  validate(s);
}

BOOST_AUTO_TEST_CASE(what_is_not_given_keeps_its_default) {
  settings s = load_text(one_model, "f", variables({})), defaults;
  BOOST_TEST(s.server.listen == defaults.server.listen);
  BOOST_TEST(s.server.body_limit == defaults.server.body_limit);
  BOOST_TEST(s.models[0].request_timeout_s == 600.0);
  BOOST_TEST(s.data_dir == "data");
}

BOOST_AUTO_TEST_CASE(every_kind_of_value_arrives) {
  settings s = load_text(R"(
server: {listen: ["[::1]:0", localhost:9], shards: 3, body_limit: 512 MiB, header_limit: 8KiB,
         stream_comment_grace_s: 0.25}
keys: [{id: a, token: "0123456789abcdef", scopes: [realtime, batch]}]
gpus: [{memory: 24GB}, {memory: 1048576}]
models:
  - {name: 123, command: [run, "{port}", 7], environment: ["A=b\nc"], gpu: {memory: 1MiB},
     residency: pinned}
  - {name: x, driver: external, endpoint: "http://[::1]:80"}
metrics: {public: true}
log:
)",
                         "f", variables({}));
  BOOST_TEST(s.server.listen == (std::vector<std::string>{"[::1]:0", "localhost:9"}));
  BOOST_TEST(s.server.shards == 3u);
  BOOST_TEST(s.server.body_limit == 512 * mib);
  BOOST_TEST(s.server.header_limit == 8192u);
  BOOST_TEST(s.server.stream_comment_grace_s == 0.25);
  BOOST_TEST(s.keys[0].scopes == (std::vector<std::string>{"realtime", "batch"}));
  BOOST_TEST(s.gpus[0].memory == 24000000000u);
  BOOST_TEST(s.gpus[1].memory == mib);
  BOOST_TEST(s.models[0].name == "123");
  BOOST_TEST(s.models[0].command.back() == "7");
  BOOST_TEST(s.models[0].environment[0] == "A=b\nc");
  BOOST_TEST((s.models[0].residency == residency::pinned));
  BOOST_TEST((s.models[1].driver == driver_kind::external));
  BOOST_TEST(s.metrics.is_public);
  BOOST_TEST(s.log.level == "info");
}

BOOST_AUTO_TEST_CASE(defaults_follow_other_options) {
  settings s = load_text(
      "models: [{name: m, command: [r, '{port}'], request_timeout_s: 60, start_timeout_s: 5}]\n",
      "f", variables({}));
  BOOST_TEST(s.models[0].first_byte_timeout_s == 60.0);
  BOOST_TEST(s.models[0].stream_idle_timeout_s == 60.0);
  BOOST_TEST(s.models[0].expected_load_s == 5.0);
  BOOST_TEST(s.models[0].upstream_model == "m");
}

BOOST_AUTO_TEST_CASE(the_environment_overrides_the_file) {
  settings s = load_text(one_model + "server: {shards: 1, listen: ['127.0.0.1:1']}\n", "f",
                         variables({{"SIGNALBOX_LISTEN", "127.0.0.1:80,[::1]:81"},
                                    {"LOAD_BALANCER_PORT", "9000"},
                                    {"SIGNALBOX_SHARDS", "4"},
                                    {"SIGNALBOX_LOG_LEVEL", "debug"},
                                    {"SIGNALBOX_DATA_DIR", "/srv/d"},
                                    {"SIGNALBOX_METRICS_PUBLIC", "true"},
                                    {"DATABASE_URL", "postgresql://u@h/d"},
                                    {"SIGNALBOX_BOOTSTRAP_KEY", "0123456789abcdef"}}));
  BOOST_TEST(s.server.listen == (std::vector<std::string>{"127.0.0.1:9000", "[::1]:81"}));
  BOOST_TEST(s.server.shards == 4u);
  BOOST_TEST(s.log.level == "debug");
  BOOST_TEST(s.data_dir == "/srv/d");
  BOOST_TEST(s.metrics.is_public);
  BOOST_TEST(s.database.url == "postgresql://u@h/d");
  BOOST_TEST_REQUIRE(s.keys.size() == 1u);
  BOOST_TEST(s.keys[0].id == "bootstrap");
  BOOST_TEST(s.keys[0].token == "0123456789abcdef");
  BOOST_TEST(s.keys[0].scopes == std::vector<std::string>{"admin"});
}

BOOST_AUTO_TEST_CASE(keys_come_by_the_names_that_other_gateways_use) {
  char pattern[] = "/tmp/signalbox-keys-XXXXXX";
  const int file = mkstemp(pattern);
  BOOST_REQUIRE(file >= 0);
  close(file);
  const auto write = [&](const std::string& text) { std::ofstream(pattern) << text; };
  write(R"({"keys": [{"id": "app", "token": "0123456789abcdefg", "scopes": ["batch", "eval"]}]})");
  const settings s = load_text(one_model, "f",
                               variables({{"GATEWAY_API_KEY", "0123456789abcdef1"},
                                          {"GATEWAY_ADMIN_API_KEY", "0123456789abcdef2"},
                                          {"LLM_ADMIN_TOKEN", "0123456789abcdef3"},
                                          {"AUTH_KEYS_FILE", pattern}}));
  BOOST_TEST_REQUIRE(s.keys.size() == 4u);
  BOOST_TEST(s.keys[0].scopes == (std::vector<std::string>{"realtime", "batch"}));
  BOOST_TEST(s.keys[1].scopes == std::vector<std::string>{"admin"});
  BOOST_TEST(s.keys[2].scopes == std::vector<std::string>{"monitor"});
  BOOST_TEST(s.keys[3].id == "app");
  BOOST_TEST(s.keys[3].token == "0123456789abcdefg");
  const auto error = [&](const std::string& text) {
    write(text);
    return error_of(one_model, variables({{"AUTH_KEYS_FILE", pattern}}));
  };
  const std::string name = "environment AUTH_KEYS_FILE: keys";
  for (const auto* wrong : {"", "[]", R"({"keys": 7})"}) {
    BOOST_TEST(error(wrong).starts_with(name + ": \"/tmp/"));
    BOOST_TEST(error(wrong).find("does not contain") != std::string::npos);
  }
  const auto untold = error(R"({"keys": [{"id": "app", "token": "s3cret", "scopes": 1}]})");
  BOOST_TEST(untold.find("has an entry, keys[0], without") != std::string::npos);
  BOOST_TEST(untold.find("s3cret") == std::string::npos);
  BOOST_TEST(error(R"({"keys": [{"id": "app", "token": "short", "scopes": ["batch"]}]})") ==
             name + "[0].token: found 5 bytes, allowed 16 to 512 bytes");
  BOOST_TEST(error(R"({"keys": [{"id": "a", "token": "0123456789abcdef", "scopes": ["x"]}]})") ==
             name +
                 "[0].scopes: found \"x\", allowed one of realtime, batch, eval, upload, monitor, "
                 "admin");
  std::remove(pattern);
}

BOOST_AUTO_TEST_CASE(an_empty_variable_is_not_set) {
  settings s = load_text(one_model + "server: {shards: 1}\n", "f",
                         variables({{"SIGNALBOX_SHARDS", ""}, {"SIGNALBOX_BOOTSTRAP_KEY", ""}}));
  BOOST_TEST(s.server.shards == 1u);
  BOOST_TEST(s.keys.empty());
}

BOOST_AUTO_TEST_CASE(a_bad_variable_is_named) {
  auto error = [](const std::string& name, const std::string& text) {
    return error_of(one_model, variables({{name, text}}));
  };
  BOOST_TEST(error("SIGNALBOX_SHARDS", "many") ==
             "environment SIGNALBOX_SHARDS: server.shards: found \"many\", allowed an integer from "
             "0 to 256");
  BOOST_TEST(error("SIGNALBOX_SHARDS", "300") ==
             "environment SIGNALBOX_SHARDS: server.shards: found 300, allowed 0 to 256");
  BOOST_TEST(error("SIGNALBOX_LISTEN", "127.0.0.1:80,x") ==
             "environment SIGNALBOX_LISTEN: server.listen[1]: found \"x\", allowed ADDRESS:PORT "
             "with an IPv4 address, an [IPv6] address or localhost, and a port from 0 to 65535; "
             "with https:// before it for TLS");
  BOOST_TEST(error("LOAD_BALANCER_PORT", "70000") ==
             "environment LOAD_BALANCER_PORT: server.listen: found \"70000\", allowed a port from "
             "0 to 65535");
  BOOST_TEST(error("SIGNALBOX_LOG_LEVEL", "inf") ==
             "environment SIGNALBOX_LOG_LEVEL: log.level: found \"inf\", allowed one of trace, "
             "debug, info, warn, error; did you mean info?");
  BOOST_TEST(error("SIGNALBOX_BOOTSTRAP_KEY", "short") ==
             "environment SIGNALBOX_BOOTSTRAP_KEY: keys[0].token: found 5 bytes, allowed 16 to 512 "
             "bytes");
  BOOST_TEST(error("DATABASE_URL", "nonsense") ==
             "environment DATABASE_URL: database.url: found another form, allowed "
             "postgresql://USER:PASSWORD@HOST:PORT/DATABASE");
}

BOOST_AUTO_TEST_CASE(tokens_come_from_the_environment) {
  const std::string yaml = one_model + "keys: [{id: ops, token_env: OPS, scopes: [admin]}]\n";
  settings s = load_text(yaml, "f", variables({{"OPS", "0123456789abcdef"}}));
  BOOST_TEST(s.keys[0].token == "0123456789abcdef");
  BOOST_TEST(s.keys[0].token_env == "");
  BOOST_TEST(error_of(yaml, variables({{"OPS", "short"}})) ==
             "f:2: keys[0].token: found 5 bytes, allowed 16 to 512 bytes");
}

BOOST_AUTO_TEST_CASE(every_variable_that_is_looked_at_is_listed) {
  std::vector<std::string> listed = environment_names(), asked;
  load_text(one_model, "f", [&](const std::string& name) -> std::optional<std::string> {
    asked.push_back(name);
    return std::nullopt;
  });
  BOOST_TEST(asked == listed, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_process_environment_is_read) {
  ::setenv("SIGNALBOX_TEST_VARIABLE", "x", 1);
  BOOST_TEST(process_environment()("SIGNALBOX_TEST_VARIABLE").value_or("") == "x");
  ::unsetenv("SIGNALBOX_TEST_VARIABLE");
  BOOST_TEST(!process_environment()("SIGNALBOX_TEST_VARIABLE").has_value());
}

// main changes settings (--listen) after they were loaded.
BOOST_AUTO_TEST_CASE(validate_judges_settings_without_a_file) {
  settings s = load(std::nullopt, variables({}));
  BOOST_TEST(validation_error(s) == "");
  s.server.shards = 1000;
  s.server.listen = {"nowhere"};
  s.models[0].max_concurrent = 0;
  s.models[1].name.clear();
  s.keys.resize(2);
  for (auto& key : s.keys) key.token = "0123456789abcdef";
  s.keys[0].id = "a";
  s.keys[0].scopes = {"admin"};
  s.keys[1].id = "b";
  BOOST_TEST(validation_error(s) ==
             "server.shards: found 1000, allowed 0 to 256\n"
             "keys[1].scopes: found 0 entries, allowed 1 to 6 entries\n"
             "models[1].name: found 0 bytes, allowed 1 to 200 bytes\n"
             "models[0].max_concurrent: found 0, allowed 1 to 65536\n"
             "server.listen[0]: found \"nowhere\", allowed ADDRESS:PORT with an IPv4 address, an "
             "[IPv6] address or localhost, and a port from 0 to 65535; with https:// before it for "
             "TLS\n"
             "keys[1].token: found the token that keys[0] has already");
}

BOOST_AUTO_TEST_CASE(addresses_are_taken_apart) {
  auto v6 = parse_listen("[::1]:8000");
  BOOST_TEST_REQUIRE(v6.has_value());
  BOOST_TEST(v6->host == "::1");
  BOOST_TEST(v6->port == 8000);
  BOOST_TEST(to_string(*v6) == "[::1]:8000");
  BOOST_TEST(!v6->is_tls);
  auto tls = parse_listen("https://[::1]:8443");
  BOOST_TEST_REQUIRE(tls.has_value());
  BOOST_TEST(tls->host == "::1");
  BOOST_TEST(tls->port == 8443);
  BOOST_TEST(tls->is_tls);
  BOOST_TEST(to_string(*tls) == "https://[::1]:8443");
}
