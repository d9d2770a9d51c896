// Every kind of mistake and the exact words that a person gets for it.
#include <boost/test/unit_test.hpp>

#include <unistd.h>

#include <filesystem>

#include "tests/config/support.hpp"

using namespace signalbox::config;

namespace {

struct mistake {
  std::string yaml;
  std::string error;
};

void expect(const std::vector<mistake>& mistakes) {
  for (const mistake& m : mistakes) {
    BOOST_TEST_CONTEXT(m.yaml) {
      BOOST_TEST(error_of(m.yaml) == m.error);
    }
  }
}

// A file with one good model; the mistake is in front of it, from line 1.
mistake beside_a_model(const std::string& yaml, const std::string& error) {
  return {yaml + "\nmodels: [{name: m, command: [run, '{port}']}]\n", error};
}

// The mistake stands inside the model, from line 3.
mistake in_a_model(const std::string& yaml, const std::string& error) {
  return {"gpus: [{memory: 10GiB}]\nmodels:\n  - {name: m, " + yaml + "}\n", error};
}

mistake in_a_process_model(const std::string& yaml, const std::string& error) {
  return in_a_model("command: [run, '{port}'], " + yaml, error);
}

const std::string token = "0123456789abcdef";

}  // namespace

BOOST_AUTO_TEST_CASE(syntax_is_reported_with_line_and_column) {
  expect({
      {"server: [\n", "f:2:1: end of sequence flow not found"},
      {"a: b: c\n", "f:1:5: illegal map value"},
      {"---\n{}\n---\n{}\n", "f:3:1: found text after the end of the document"},
      {", a\n", "f:1:1: found text after the end of the document"},
      {"{}\n...\n", "f: models: found none, allowed at least one"},
      {"- 1\n", "f:1: found a list, allowed a mapping"},
      {"hello\n", "f:1: found \"hello\", allowed a mapping"},
      {"", "f: models: found none, allowed at least one"},
  });
}

BOOST_AUTO_TEST_CASE(keys_are_known_and_stand_once) {
  expect({
      beside_a_model("server: {shard: 1}", "f:1: server.shard: unknown key; did you mean shards?"),
      beside_a_model("log: {colour: red}",
                     "f:1: log.colour: unknown key, allowed level, requests, "
                     "requests_max_bytes, requests_files"),
      beside_a_model("log: {level: info, level: warn}",
                     "f:1: log.level: found a second time, allowed once"),
      beside_a_model("log: {[a]: b}", "f:1: log: found a list as a key, allowed a name"),
      beside_a_model("log: {\"a\\e[31m\": b}",
                     "f:1: log.\"a\\x1b[31m\": unknown key, allowed level, requests, "
                     "requests_max_bytes, requests_files"),
      {"modles: []\n", "f:1: modles: unknown key; did you mean models?"},
      in_a_model("comand: [run]", "f:3: models[0].comand: unknown key; did you mean command?"),
      in_a_process_model("gpu: {memry: 1GiB}",
                         "f:3: models[0].gpu.memry: unknown key; did you mean memory?"),
  });
}

BOOST_AUTO_TEST_CASE(values_have_their_kind) {
  expect({
      beside_a_model("server: 5", "f:1: server: found 5, allowed a mapping"),
      beside_a_model("keys: {}", "f:1: keys: found a mapping, allowed a list"),
      beside_a_model("keys: [a]", "f:1: keys[0]: found \"a\", allowed a mapping"),
      beside_a_model("server: {listen: ''}",
                     "f:1: server.listen: found \"\", allowed a list of 1 to 16 entries"),
      beside_a_model("server: {listen: [[x]]}",
                     "f:1: server.listen[0]: found a list, allowed a text"),
      beside_a_model("server: {shards: 10x}",
                     "f:1: server.shards: found \"10x\", allowed an integer from 0 to 256"),
      beside_a_model("server: {shards: 010}",
                     "f:1: server.shards: found 010, allowed an integer from 0 to 256"),
      beside_a_model("server: {shards: -1}",
                     "f:1: server.shards: found -1, allowed an integer from 0 to 256"),
      beside_a_model("server: {shards: 1.5}",
                     "f:1: server.shards: found 1.5, allowed an integer from 0 to 256"),
      beside_a_model("server: {shards: '1'}",
                     "f:1: server.shards: found \"1\", allowed an integer from 0 to 256"),
      beside_a_model("server: {shards:}",
                     "f:1: server.shards: found nothing, allowed an integer from 0 to 256"),
      beside_a_model("server: {shutdown_grace_s: .inf}",
                     "f:1: server.shutdown_grace_s: found \".inf\", allowed a number of seconds "
                     "from 0 to 3600"),
      beside_a_model("server: {shutdown_grace_s: nan}",
                     "f:1: server.shutdown_grace_s: found \"nan\", allowed a number of seconds "
                     "from 0 to 3600"),
      beside_a_model("server: {body_limit: 1 gib}",
                     "f:1: server.body_limit: found \"1 gib\", allowed a size (bytes, or with kB "
                     "… TB, KiB … TiB) from 1KiB to 1GiB"),
      beside_a_model("metrics: {public: yes}",
                     "f:1: metrics.public: found \"yes\", allowed true or false"),
      beside_a_model("data_dir: [a]",
                     "f:1: data_dir: found a list, allowed a text of 1 to 4096 bytes"),
  });
}

BOOST_AUTO_TEST_CASE(values_have_bounds) {
  expect({
      in_a_process_model("max_concurrent: 0",
                         "f:3: models[0].max_concurrent: found 0, allowed 1 to 65536"),
      in_a_process_model("max_waiting: 1000001",
                         "f:3: models[0].max_waiting: found 1000001, allowed 0 to 1000000"),
      in_a_process_model("max_waiting: 99999999999999999999",
                         "f:3: models[0].max_waiting: found 99999999999999999999, allowed an "
                         "integer from 0 to 1000000"),
      in_a_process_model("driver: docker",
                         "f:3: models[0].driver: found \"docker\", allowed one of process, "
                         "external"),
      in_a_process_model("residency: pined",
                         "f:3: models[0].residency: found \"pined\", allowed one of pinned, "
                         "on_demand, exclusive; did you mean pinned?"),
      beside_a_model("server: {body_limit: 2GiB}",
                     "f:1: server.body_limit: found 2GiB, allowed 1KiB to 1GiB"),
      beside_a_model("server: {stream_comment_interval_s: 15.5}",
                     "f:1: server.stream_comment_interval_s: found 15.5, allowed 0.1 to 15"),
      beside_a_model("server: {listen: []}",
                     "f:1: server.listen: found 0 entries, allowed 1 to 16 entries"),
      beside_a_model("data_dir: \"a\\0b\"",
                     "f:1: data_dir: found \"a\\x00b\", allowed no control characters"),
      beside_a_model("gpus: [{}]",
                     "f:1: gpus[0].memory: missing, allowed a size (bytes, or with "
                     "kB … TB, KiB … TiB) from 1MiB to 1024TiB"),
  });
}

BOOST_AUTO_TEST_CASE(addresses) {
  const std::string allowed =
      ", allowed ADDRESS:PORT with an IPv4 address, an [IPv6] address or "
      "localhost, and a port from 0 to 65535; with https:// before it for TLS";
  for (const char* bad :
       {"127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:1x", ":80", "::1:80", "[::1]",
        "[::1:80", "[]:80", "example.org:80", "1.2.3:80", "127.0.0.1:-1", "127.0.0.1: 80",
        "http://127.0.0.1:80", "https://127.0.0.1", "https://127.0.0.1:80/", "https://h:80"}) {
    std::string text = bad;
    expect({beside_a_model("server: {listen: ['" + text + "']}",
                           "f:1: server.listen[0]: found \"" + text + "\"" + allowed)});
  }
  expect({beside_a_model("server:\n  listen:\n  - 127.0.0.1:80\n  - 127.0.0.1:80",
                         "f:4: server.listen[1]: found \"127.0.0.1:80\" a second time")});
  for (const std::string bad :
       {"127.0.0.1:80", "https://", "https://:443", "http://a", "http://a/v1", "http://a:0",
        "https://a:0", "http://a:80?x", "http://a:80/v1?x", "http://a:80/#x", "http://a:80/a b",
        "http://u@a:80", "https://u:p@a", "http://a b:80", "http://:80", "ftp://a:80"}) {
    expect({in_a_model("driver: external, endpoint: '" + bad + "'",
                       "f:3: models[0].endpoint: found \"" + bad +
                           "\", allowed http://HOST:PORT or https://HOST[:PORT], with or without a "
                           "path")});
  }
}

BOOST_AUTO_TEST_CASE(origins) {
  for (const std::string wrong :
       {"https://a.org/", "a.org", "https://A.org", "://a", "https://", "null", "https://*.a.org",
        "https://a.org?x", "https://u@a.org", "https://a b"}) {
    expect({beside_a_model(
        "cors: {allowed_origins: ['*', \"" + wrong + "\"]}",
        "f:1: cors.allowed_origins[1]: found \"" + wrong +
            "\", allowed * or scheme://host[:port] in lower case, without a path")});
  }
  expect({beside_a_model("cors: {allowed_origins: ['*', 'http://a.org:80', tauri://app]}", "")});
}

BOOST_AUTO_TEST_CASE(api_keys) {
  auto keys = [](const std::string& list, const std::string& error) {
    return beside_a_model("keys:\n" + list, error);
  };
  expect({
      keys("- {id: a, token: tooshort, scopes: [admin]}",
           "f:2: keys[0].token: found 8 bytes, allowed 16 to 512 bytes"),
      keys("- {id: a, token: [x], scopes: [admin]}",
           "f:2: keys[0].token: found a list, allowed a text of 16 to 512 bytes"),
      keys("- {id: a, token: \"0123456789abcde\\u00e9\", scopes: [admin]}",
           "f:2: keys[0].token: found a blank, a control character or a character beyond ASCII, "
           "allowed visible ASCII"),
      keys("- {id: a, scopes: [admin]}",
           "f:2: keys[0]: found neither token nor token_env, allowed one of them"),
      keys("- {id: a, token: " + token + ", token_env: X, scopes: [admin]}",
           "f:2: keys[0]: found both token and token_env, allowed one of them"),
      keys("- {id: a, token_env: OPS, scopes: [admin]}",
           "f:2: keys[0].token_env: key \"a\" needs the environment variable \"OPS\", which is not "
           "set"),
      keys("- {id: a, token: " + token + ", scopes: [root]}",
           "f:2: keys[0].scopes: found \"root\", allowed one of realtime, batch, eval, upload, "
           "monitor, admin"),
      keys("- {id: a, token: " + token + ", scopes: [eval, eval]}",
           "f:2: keys[0].scopes: found a scope twice, allowed once"),
      keys("- {id: a, token: " + token + "}",
           "f:2: keys[0].scopes: missing, allowed a list of realtime, batch, eval, upload, "
           "monitor, admin"),
      keys("- {id: a, token: " + token + ", scopes: admin}",
           "f:2: keys[0].scopes: found \"admin\", allowed a list of realtime, batch, eval, upload, "
           "monitor, admin"),
      keys("- {id: a, token: " + token + ", scopes: [eval]}\n- {id: a, token: " + token +
               "2, scopes: [eval]}",
           "f:3: keys[1].id: found \"a\", which keys[0] has already"),
      keys("- {id: a, token: " + token + ", scopes: [eval]}\n- {id: b, token: " + token +
               ", scopes: [eval]}",
           "f:3: keys[1].token: found the token that keys[0] has already"),
      keys("- {id: 'user:a', token: " + token + ", scopes: [eval]}",
           "f:2: keys[0].id: found \"user:a\", but \"user:\" is reserved for ids of users"),
      keys("- {id: local, token: " + token + ", scopes: [eval]}",
           "f:2: keys[0].id: found \"local\", which is reserved for commands on this machine"),
  });
}

BOOST_AUTO_TEST_CASE(drivers_and_what_they_need) {
  expect({
      in_a_model("driver: process", "f:3: models[0]: found no command, which driver process needs"),
      in_a_model("command: [run]",
                 "f:3: models[0].command: found no {port}, without which the runtime cannot know "
                 "where to serve"),
      in_a_process_model("endpoint: 'http://a:1'",
                         "f:3: models[0].endpoint: allowed with driver external only"),
      in_a_process_model("environment: [A=b, '=c']",
                         "f:3: models[0].environment[1]: found an entry without a name and =, "
                         "allowed NAME=VALUE"),
      in_a_process_model("health_path: health",
                         "f:3: models[0].health_path: found \"health\", allowed a path that begins "
                         "with / and has no blanks"),
      in_a_process_model("upstream_paths: [/tts, /a/*, /a/../b]",
                         "f:3: models[0].upstream_paths[2]: found \"/a/../b\", allowed a path that "
                         "begins with / and may end in /*, of visible ASCII without %?#;\\, empty "
                         "segments and dots"),
      in_a_model("driver: external",
                 "f:3: models[0]: found no endpoint, which driver external needs"),
      in_a_process_model("driver: external, endpoint: 'http://a:1'",
                         "f:3: models[0].command: allowed with driver process only"),
      in_a_model("driver: external, endpoint: 'http://a:1', gpu: {memory: 1GiB}",
                 "f:3: models[0].gpu.memory: allowed with driver process only"),
      in_a_model("driver: external, endpoint: 'http://a:1', residency: pinned",
                 "f:3: models[0].residency: allowed with driver process only"),
  });
}

BOOST_AUTO_TEST_CASE(model_names) {
  const std::string run = "command: [run, '{port}']";
  const std::string rule = ", allowed UTF-8 of 1 to 200 bytes without blanks around it";
  expect({
      {"models: [{" + run + "}]", "f:1: models[0].name: missing, allowed a text of 1 to 200 bytes"},
      {"models: [{name: ' a', " + run + "}]", "f:1: models[0].name: found \" a\"" + rule},
      {"models: [{name: a, aliases: [''], " + run + "}]",
       "f:1: models[0].aliases[0]: found \"\"" + rule},
      {"models: [{name: \"a\\nb\", " + run + "}]",
       "f:1: models[0].name: found \"a\\x0ab\", allowed no control characters"},
      {"models: [{name: " + std::string(201, 'a') + ", " + run + "}]",
       "f:1: models[0].name: found 201 bytes, allowed 1 to 200 bytes"},
      {"models:\n- {name: a, " + run + "}\n- {name: a, " + run + "}",
       "f:3: models[1].name: found \"a\", which models[0].name is already"},
      {"models:\n- {name: a, " + run + "}\n- {name: b, aliases: [a], " + run + "}",
       "f:3: models[1].aliases[0]: found \"a\", which models[0].name is already"},
  });
}

BOOST_AUTO_TEST_CASE(models_fit_the_gpus) {
  auto two = [](const std::string& a, const std::string& b, const std::string& error) {
    return mistake{"gpus: [{memory: 10GiB}]\nmodels:\n- {name: a, command: [r, '{port}'], " + a +
                       "}\n- {name: b, command: [r, '{port}'], " + b + "}\n",
                   error};
  };
  expect({
      in_a_process_model("gpu: {memory: 11GiB}",
                         "f:3: models[0].gpu.memory: found 11GiB, allowed up to the largest GPU "
                         "(10GiB)"),
      beside_a_model("gpus: []", ""),
      {"models: [{name: a, command: [r, '{port}'], gpu: {memory: 1}}]",
       "f:1: models[0].gpu.memory: found a size, but gpus declares no GPU"},
      in_a_process_model("residency: exclusive",
                         "f:3: models[0].residency: found exclusive without gpu.memory, which it "
                         "needs to take the GPU"),
      two("gpu: {memory: 6GiB}, residency: pinned", "gpu: {memory: 6GiB}, residency: pinned",
          "f:2: models: found pinned models of 12GiB together, which do not all fit the GPUs at "
          "once"),
      two("gpu: {memory: 6GiB}, residency: pinned", "gpu: {memory: 6GiB}",
          "f:4: models[1].gpu.memory: found 6GiB, but the pinned models never make room for it"),
      two("gpu: {memory: 1GiB}, residency: pinned", "gpu: {memory: 1GiB}, residency: exclusive",
          "f:4: models[1].residency: found exclusive beside a pinned model, which never makes "
          "room"),
      two("gpu: {memory: 6GiB}", "gpu: {memory: 6GiB}", ""),
      two("gpu: {memory: 6GiB}, residency: pinned", "gpu: {memory: 4GiB}", ""),
  });
}

// 4, 4, 3, 3, 3, 3 fit two GPUs of 10, but not with the largest first onto the first GPU.
BOOST_AUTO_TEST_CASE(a_packing_that_exists_is_found) {
  std::string yaml = "gpus: [{memory: 10GiB}, {memory: 10GiB}]\nmodels:\n";
  int n = 0;
  for (const char* size : {"4GiB", "4GiB", "3GiB", "3GiB", "3GiB", "3GiB"}) {
    yaml += "- {name: m" + std::to_string(n++) +
            ", command: [r, '{port}'], residency: pinned, "
            "gpu: {memory: " +
            size + "}}\n";
  }
  BOOST_TEST(error_of(yaml) == "");
}

BOOST_AUTO_TEST_CASE(limits_relate_to_each_other) {
  expect({
      in_a_process_model("request_timeout_s: 10, first_byte_timeout_s: 20",
                         "f:3: models[0].first_byte_timeout_s: found 20, allowed up to "
                         "request_timeout_s (10)"),
      in_a_process_model("stream_idle_timeout_s: 700",
                         "f:3: models[0].stream_idle_timeout_s: found 700, allowed up to "
                         "request_timeout_s (600)"),
      in_a_process_model("expected_load_s: 200",
                         "f:3: models[0].expected_load_s: found 200, allowed up to start_timeout_s "
                         "(120)"),
      beside_a_model("scheduling: {min_residency_s: 31}",
                     "f:1: scheduling.min_residency_s: found 31, allowed up to max_swap_wait_s "
                     "(30)"),
      beside_a_model("scheduling: {load_backoff_s: 61}",
                     "f:1: scheduling.load_backoff_s: found 61, allowed up to load_backoff_max_s "
                     "(60)"),
      beside_a_model("server: {body_limit: 16KiB}",
                     "f:1: server.header_limit: found 32KiB, allowed up to body_limit (16KiB)"),
      beside_a_model("server: {body_memory: 31MiB}",
                     "f:1: server.body_memory: found 31MiB, allowed 0, or at least body_limit "
                     "(32MiB)"),
      beside_a_model("server: {body_memory: 1GiB, body_limit: 1GiB}", ""),
      beside_a_model("database: {url: 'mysql://u:p@h/d'}",
                     "f:1: database.url: found another form, allowed "
                     "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
  });
}

BOOST_AUTO_TEST_CASE(all_problems_at_once_by_line) {
  BOOST_TEST(error_of("models:\n- name: m\n  comand: [x]\nlog: {level: loud}\nserver: {shards: x}\n"
                      "scheduling: {load_attempts: 0}\n") ==
             "f:3: models[0].comand: unknown key; did you mean command?\n"
             "f:4: log.level: found \"loud\", allowed one of trace, debug, info, warn, error\n"
             "f:5: server.shards: found \"x\", allowed an integer from 0 to 256\n"
             "f:6: scheduling.load_attempts: found 0, allowed 1 to 1000");
}

BOOST_AUTO_TEST_CASE(a_secret_is_never_shown) {
  const std::string secret = "s3cret s3cret s3cret";
  std::string errors = error_of(
      "keys:\n- {id: a, token: '" + secret + "', scopes: [admin]}\n- {id: b, token: [" + secret +
          "], scopes: [admin]}\n",
      variables({{"DATABASE_URL", "mysql://u:s3cret@h/d"}, {"SIGNALBOX_BOOTSTRAP_KEY", "s3cret"}}));
  BOOST_TEST(errors.find("DATABASE_URL") != std::string::npos);
  BOOST_TEST(errors.find("s3cret") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(hostile_texts_end_in_an_error) {
  BOOST_TEST(error_of(std::string(1024 * 1024 + 1, ' ')) ==
             "f: found 1048577 bytes, allowed 1048576");
  BOOST_TEST(error_of(std::string(200000, '[')).find("f:1:") == 0u);

  std::string bomb = "keys:\n- &k {id: a, scopes: &s [";
  for (int i = 0; i < 200; ++i) bomb += "admin,";
  bomb += "]}\n";
  for (int i = 0; i < 2000; ++i) bomb += "- *k\n";
  BOOST_TEST(error_of(bomb) == "f:2: found more than 100000 values (aliases count each time)");

  BOOST_TEST(error_of("models: &m [*m]\n").find("f:") == 0u);
  std::string many = "models: [";
  for (int i = 0; i < 1001; ++i) many += "{},";
  BOOST_TEST(error_of(many + "]") == "f:1: models: found 1001 entries, allowed up to 1000");
}

BOOST_AUTO_TEST_CASE(files) {
  auto error_for = [](const std::filesystem::path& file) -> std::string {
    try {
      load(file, variables({}));
      return "";
    } catch (const config_error& e) {
      return e.what();
    }
  };
  auto folder = std::filesystem::temp_directory_path() /
                ("signalbox_config_errors_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  BOOST_TEST(error_for(folder) == folder.string() + ": is a folder, expected a file");
  auto file = folder / "signalbox.yaml";
  BOOST_TEST(error_for(file) == file.string() + ": No such file or directory");
  std::ofstream(file) << "models: []\n";
  BOOST_TEST(error_for(file) == file.string() + ":1: models: found none, allowed at least one");
  std::ofstream(file) << std::string(1024 * 1024 + 1, '#');
  BOOST_TEST(error_for(file) == file.string() + ": is larger than 1048576 bytes, the most allowed");
  std::filesystem::remove_all(folder);
}
