// What Ollama's clients say of a model's memory: how long it stays, and that it is to be loaded or
// unloaded.
#include "http/proxy/ollama_load.hpp"

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <nlohmann/json.hpp>

#include "http/serve/routes.hpp"
#include "tests/http/upstream_call_rig.hpp"

namespace signalbox::http {

using namespace std::chrono_literals;

namespace {

std::variant<request_facts, body_problem> read(const std::string& fields,
                                               dialect spoken = dialect::ollama) {
  return read_request_body("{\"model\":\"demo\"" + fields + "}", spoken, true);
}

request_facts facts_of_form(const std::string& fields, dialect spoken = dialect::ollama) {
  const auto result = read(fields, spoken);
  const auto* const problem = std::get_if<body_problem>(&result);
  BOOST_REQUIRE_MESSAGE(problem == nullptr, fields);
  return std::get<request_facts>(result);
}

// The only one that the gate tells.
std::optional<duration> told_keep(call_fixture& fixture) {
  return fixture.home.told().keep_loaded;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(ollama_loads, call_fixture)

BOOST_AUTO_TEST_CASE(keep_alive_is_seconds_or_a_duration) {
  const std::pair<std::string, duration> scenes[] = {
      {"0", 0s},
      {"300", 300s},
      {"1.5", 1500ms},
      {"-1", -1s},
      {"-0.5", -500ms},
      {R"("5m")", 5min},
      {R"("1h30m")", 90min},
      {R"("300ms")", 300ms},
      {R"("0")", 0s},
      {R"("-1")", -1s},
      {R"("-1m")", -1s},
      {R"("60")", 60s},
      {"1e9", 8760h},
      {R"("2000000h")", 8760h},
      {"-1e300", -1s},
      {R"("0s")", 0s},
  };
  for (const auto& [value, expected] : scenes) {
    const auto found = facts_of_form(",\"keep_alive\": " + value + " ").keep_alive;
    BOOST_REQUIRE_MESSAGE(found.has_value(), value);
    BOOST_TEST(found->count() == expected.count(), value);
  }
  BOOST_TEST(!facts_of_form("").keep_alive.has_value());
  BOOST_TEST(!facts_of_form(",\"keep_alive\":null").keep_alive.has_value());
}

BOOST_AUTO_TEST_CASE(another_keep_alive_is_refused_in_ollamas_dialect_only) {
  for (const std::string value :
       {"true", "[]", "{}", R"("")", R"("5 m")", R"("soon")", R"("nan")", R"("inf")", R"("-inf")",
        "1e999", R"("5m",)", R"(1,"keep_alive":1)"}) {
    const auto fields = ",\"keep_alive\":" + value;
    BOOST_TEST(std::holds_alternative<body_problem>(read(fields)), value);
  }
  const auto long_text = "\"\\n" + std::string(100'000, 'x') + '"';
  for (const std::string& value : {std::string(R"("soon")"), long_text}) {
    BOOST_TEST(std::get<body_problem>(read(",\"keep_alive\":" + value)).param == "keep_alive");
  }
  for (const auto spoken : {dialect::openai, dialect::anthropic, dialect::other}) {
    BOOST_TEST(!facts_of_form(R"(,"keep_alive":"soon")", spoken).keep_alive.has_value());
  }
}

BOOST_AUTO_TEST_CASE(a_prompt_is_text_or_messages) {
  for (const std::string fields :
       {R"(,"prompt":"x")", R"(,"messages":[{}])", R"(,"messages": [ "]" ])", R"(,"prompt":" ")",
        R"(,"prompt":1)", R"(,"prompt":"","messages":[1])", R"(,"messages":[1],"prompt":"")",
        R"(,"prompt":"]")", R"(,"prompt":"\"")"}) {
    BOOST_TEST(facts_of_form(fields).has_prompt, fields);
  }
  for (const std::string fields :
       {"", R"(,"prompt":"")", R"(,"prompt":null)", R"(,"messages":[])", R"(,"messages":null)",
        R"(,"messages": [ 	])", R"(,"options":{"prompt":"x"})", R"(,"prompt" : "" )"}) {
    BOOST_TEST(!facts_of_form(fields).has_prompt, fields);
  }
}

BOOST_AUTO_TEST_CASE(only_a_text_route_without_a_prompt_loads_and_never_an_external_model) {
  const route_traits text{.dialect = dialect::ollama, .streams_by_default = true};
  const route_traits vectors{.dialect = dialect::ollama};
  config::model_options own, external;
  external.driver = config::driver_kind::external;
  request_facts empty, full;
  full.has_prompt = true;
  BOOST_TEST(only_loads(text, empty, own));
  BOOST_TEST(!only_loads(text, full, own));
  BOOST_TEST(!only_loads(vectors, empty, own));
  BOOST_TEST(!only_loads(text, empty, external));
  BOOST_TEST(!unloads(empty));
  empty.keep_alive = 1s;
  BOOST_TEST(!unloads(empty));
  empty.keep_alive = 0s;
  BOOST_TEST(unloads(empty));
}

BOOST_AUTO_TEST_CASE(the_answer_is_ollamas) {
  auto answer = nlohmann::json::parse(load_answer("/api/generate", "a:latest", "load"));
  BOOST_TEST(answer["created_at"].is_string());
  answer.erase("created_at");
  BOOST_TEST(
      answer ==
      nlohmann::json(
          {{"model", "a:latest"}, {"response", ""}, {"done", true}, {"done_reason", "load"}}));
  answer = nlohmann::json::parse(load_answer("/api/chat", "a", "unload"));
  BOOST_TEST(answer["message"] == nlohmann::json({{"role", "assistant"}, {"content", ""}}));
  BOOST_TEST(answer["done_reason"] == "unload");
  BOOST_TEST(!answer.contains("response"));
}

BOOST_AUTO_TEST_CASE(a_request_tells_it_when_it_has_its_permit) {
  auto one = request();
  one.facts.keep_alive = 7s;
  const auto waits = begin(std::move(one));
  BOOST_TEST(!told_keep(*this).has_value());
  waits->call.cancel();
  auto other = request();
  other.facts.keep_alive = -1s;
  const auto sent = begin_at_runtime(std::move(other));
  const auto kept = told_keep(*this);
  BOOST_REQUIRE(kept.has_value());
  BOOST_TEST((*kept == -1s));
  BOOST_TEST(!told_keep(*this).has_value());
  sent->call.cancel();
}

BOOST_AUTO_TEST_CASE(one_that_only_loads_waits_for_its_permit_and_sends_nothing) {
  auto one = request();
  one.only_loads = true;
  const auto loads = begin(std::move(one));
  home.run_what_is_ready();
  BOOST_TEST(!loads->result.has_value());
  BOOST_TEST(loads->call.is_waiting());
  grant();
  wait_for_end(*loads);
  BOOST_TEST(loads->completed);
  BOOST_TEST(loads->result->status == 200);
  BOOST_TEST((loads->result->how == outcome::completed));
  BOOST_TEST(runtime.requests.empty());
  BOOST_REQUIRE(home.ledger.size() == 1u);
  BOOST_TEST(home.ledger[0].counts.successes == 1u);
  BOOST_TEST(home.ledger[0].counts.prompt_tokens == 0u);
  require_nothing_held();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
