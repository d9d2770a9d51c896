// The path of /upstream/{model}/{path}: whose it is, what the runtime is asked, and what is refused
// because a runtime might read it otherwise.
#include "http/proxy/upstream_target.hpp"

#include <boost/test/unit_test.hpp>

#include "http/serve/route_path.hpp"
#include "http/serve/routes.hpp"

namespace signalbox::http {

namespace {

served_model_ptr model_named(model_index index, std::string name, std::string alias) {
  config::model_options options;
  options.name = std::move(name);
  options.aliases = {std::move(alias)};
  return std::make_shared<const served_model>(served_model{index, options, 0, nullptr});
}

struct targets_fixture {
  model_table models{{model_named(0, "org", "a b"), model_named(1, "org/demo", "x/y/z"),
                      model_named(2, "org/demo/v1", "n+1")}};

  upstream_target target(std::string_view text, std::string_view method = "GET") {
    auto read = read_upstream_target(models, method, text);
    BOOST_REQUIRE_MESSAGE(std::holds_alternative<upstream_target>(read), text);
    return std::get<upstream_target>(read);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(upstream_targets, targets_fixture)

BOOST_AUTO_TEST_CASE(the_model_is_the_longest_name_or_alias_that_fits) {
  struct target_row {
    std::string_view text, model, path;
  };
  const target_row rows[] = {
      {"org", "org", "/"},
      {"org/", "org", "/"},
      {"org/x", "org", "/x"},
      {"org/demos/x", "org", "/demos/x"},
      {"org/demo", "org/demo", "/"},
      {"org/demo/x/y", "org/demo", "/x/y"},
      {"org%2Fdemo/x", "org/demo", "/x"},
      {"org%2fdemo%2fv1/v1", "org/demo/v1", "/v1"},
      {"org/demo/v1/chat/completions", "org/demo/v1", "/chat/completions"},
      {"x/y/z/a%20b+c", "org/demo", "/a%20b+c"},
      {"a%20b/x", "org", "/x"},
      {"n+1/x", "org/demo/v1", "/x"},
      {"%6Frg/x/", "org", "/x/"},
  };
  for (const auto& [text, model, path] : rows) {
    BOOST_TEST_CONTEXT(text) {
      const auto found = target(text);
      BOOST_REQUIRE(found.model != nullptr);
      BOOST_TEST(found.model->options.name == model);
      BOOST_TEST(found.path == path);
    }
  }
}

BOOST_AUTO_TEST_CASE(of_an_unknown_model_the_first_segment_is_told) {
  for (const auto& [text, name] : {std::pair{"none/x", "none"}, std::pair{"or%67x/demo", "orgx"},
                                   std::pair{"../org/x", ".."}, std::pair{"ORG", "ORG"}}) {
    const auto found = target(text);
    BOOST_TEST((found.model == nullptr), text);
    BOOST_TEST(found.model_name == name);
  }
  BOOST_TEST((target(std::string(100'000, '/')).model == nullptr));
}

BOOST_AUTO_TEST_CASE(what_a_runtime_may_read_as_another_path_is_refused) {
  for (const std::string_view path : {"/../x",
                                      "/x/..",
                                      "/x/./y",
                                      "/.",
                                      "/x//y",
                                      "/%2e%2e/x",
                                      "/x/%2E./y",
                                      "/x%2f..%2fy",
                                      "/x%2F%2Fy",
                                      "/%252e%252e/x",
                                      "/%25252e%25252e/x",
                                      "/%C3%A9/%252e%252e/x",
                                      "/x/%255C",
                                      "/x/..;a=b/y",
                                      "/x\\..\\y",
                                      "/x/%5c..%5cy",
                                      "/x%00",
                                      "/x%0a",
                                      "/x%7f",
                                      "/x%",
                                      "/x%2",
                                      "/x%zz",
                                      "/x%ff",
                                      "/%c0%ae"}) {
    const auto read = read_upstream_target(models, "GET", "org" + std::string(path));
    BOOST_REQUIRE_MESSAGE(std::holds_alternative<request_problem>(read), path);
    BOOST_TEST((std::get<request_problem>(read).code == error_code::bad_request), path);
  }
  for (const std::string_view path :
       {"/...", "/.x/..y", "/x.", "/a%25b", "/a%2Fb", "/caf%C3%A9", "/~a;b=c/:@!$&'()*,=+-_"}) {
    target("org" + std::string(path));
  }
}

BOOST_AUTO_TEST_CASE(an_encoded_slash_is_noticed_behind_the_model) {
  for (const std::string_view text :
       {"org/a%2Fb", "org/a%2fb", "org/a%2F", "org/a%20b%2Fc", "org/v1%2Fmodels", "org/demo/x%2Fy",
        "org/v1%2Fchat/completions"}) {
    BOOST_TEST(target(text, "POST").has_encoded_slash, text);
  }
  for (const std::string_view text : {"org/a/b", "org%2Fdemo/x", "org%2fdemo%2Fv1/a/b", "org/a%20b",
                                      "org/2F", "org/%c3%a9/2f", "org"}) {
    BOOST_TEST(!target(text).has_encoded_slash, text);
  }
}

BOOST_AUTO_TEST_CASE(a_path_of_ours_is_known_by_its_method_and_in_any_spelling) {
  const auto dialect_for = [&](std::string_view path, std::string_view method = "POST") {
    const auto* const known = target("org" + std::string(path), method).known;
    return known != nullptr ? known->traits.dialect : dialect::none;
  };
  BOOST_TEST((dialect_for("/v1/chat/completions") == dialect::openai));
  BOOST_TEST((dialect_for("/chat/completions/") == dialect::openai));
  BOOST_TEST((dialect_for("/v1/%63hat/completions") == dialect::openai));
  BOOST_TEST(target("org/v1/%63hat/completions", "POST").path == "/v1/chat/completions");
  BOOST_TEST((dialect_for("/v1/messages") == dialect::anthropic));
  BOOST_TEST((dialect_for("/api/generate") == dialect::ollama));
  BOOST_TEST((dialect_for("/v1/chat/completions", "GET") == dialect::none));
  BOOST_TEST((dialect_for("/v1/keys") == dialect::none));
  BOOST_TEST((dialect_for("/props") == dialect::none));
  BOOST_TEST((dialect_for("/upstream/org/v1/messages") == dialect::none));
}

BOOST_AUTO_TEST_CASE(a_pattern_is_a_path_or_all_below_one) {
  const std::vector<std::string> patterns{"/tts", "/v1/audio/*"};
  for (const auto* const path : {"/tts", "/v1/audio/x", "/v1/audio/x/y/"}) {
    BOOST_TEST(is_listed(patterns, path), path);
  }
  for (const auto* const path :
       {"/", "/tts/", "/tts/x", "/TTS", "/v1/audio", "/v1/audio/", "/v1/audiox", ""}) {
    BOOST_TEST(!is_listed(patterns, path), path);
  }
  BOOST_TEST(is_listed({"/*"}, "/x"));
  BOOST_TEST(is_listed({"/"}, "/"));
  BOOST_TEST(!is_listed({}, "/"));
}

BOOST_AUTO_TEST_CASE(errors_have_the_shape_of_the_path_behind_the_model) {
  BOOST_TEST((dialect_of("/upstream/org/demo/v1/messages") == dialect::anthropic));
  BOOST_TEST((dialect_of("/upstream/org/api/chat") == dialect::ollama));
  BOOST_TEST((dialect_of("/upstream/org/anything") == dialect::other));
  BOOST_TEST((dialect_of("/upstream/org") == dialect::other));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
