// Streams of a runtime: how they end, what they are counted as, and how usage is asked for.
#include <boost/test/unit_test.hpp>

#include "http/proxy/upstream_call.hpp"
#include "tests/http/upstream_call_rig.hpp"

namespace signalbox::http {

using namespace std::chrono_literals;

namespace {

const std::string word = "data: {\"choices\":[{\"finish_reason\":null}]}\n\n";
const std::string finish = "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
const std::string done = "data: [DONE]\n\n";

struct stream_fixture : call_fixture {
  std::shared_ptr<call_recorder> begin_stream(const char* fields = "") {
    auto one =
        begin_at_runtime(request(std::string(R"({"model":"demo","stream":true)") + fields + "}"));
    return one;
  }
  const usage_counts& counts() const { return home.ledger.back().counts; }
  // The model with another way to ask for usage.
  void ask_for_usage(config::usage_wish wish) {
    auto other = std::make_shared<served_model>(*model);
    other->options.usage_in_streams = wish;
    model = other;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(upstream_call_streams, stream_fixture)

BOOST_AUTO_TEST_CASE(nothing_is_added_to_a_stream_that_has_said_all) {
  // The connection breaks in the middle of a chunk.
  for (const auto& last : {finish, finish + done, done}) {
    const auto one = begin_stream();
    runtime.say(stream_head + chunk(word + last) + "5\r\nda");
    runtime.hang_up();
    wait_for_end(*one);
    BOOST_TEST(!one->failed.has_value());
    BOOST_TEST(one->text == word + last);
    BOOST_TEST(one->result->status == 200);
    BOOST_TEST((one->result->how == outcome::completed));
  }
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(one_of_several_answers_does_not_end_a_stream) {
  const auto one = begin_stream(R"(,"n":2)");
  runtime.say(stream_head + chunk(word + finish));
  home.run_until([&] { return one->call.is_stream() && !one->call.is_silent(); });
  runtime.hang_up();
  wait_for_end(*one);
  BOOST_REQUIRE(one->failed.has_value());
  BOOST_TEST(one->text == word + finish);
}

BOOST_AUTO_TEST_CASE(a_stream_that_is_done_ends_though_its_connection_does_not) {
  const auto one = begin_stream();
  runtime.say(stream_head + chunk(word + done));
  home.run_until([&] { return one->text == word + done; });
  one->call.tick(home.clock + 1s - 1ms);
  BOOST_TEST(!one->result.has_value());
  one->call.tick(home.clock + 1s);
  wait_for_end(*one);
  BOOST_TEST(one->completed);
  BOOST_TEST(one->text == word + done);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(an_error_in_a_stream_is_an_error_and_passes_as_it_came) {
  struct row {
    std::string event;
    int status;
  };
  const std::vector<row> rows{
      {"data: {\"error\":{\"message\":\"no\",\"code\":400}}\n\n", 400},
      {"data: {\"error\":{\"message\":\"no\"}}\n\n", 502},
      {"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
       502},
      {"data: {\"object\":\"error\",\"message\":\"no\",\"code\":500}\n\n", 500},
  };
  for (const auto& [event, status] : rows) {
    for (const bool breaks : {false, true}) {
      const auto one = begin_stream();
      runtime.say(stream_head + chunk(word + event) + (breaks ? "" : "0\r\n\r\n"));
      if (breaks) runtime.hang_up();
      wait_for_end(*one);
      BOOST_TEST(!one->failed.has_value());
      BOOST_TEST(one->text == word + event);
      BOOST_TEST(one->result->status == status);
      BOOST_TEST(counts().errors == 1u);
      BOOST_TEST(counts().completion_tokens == 1u);  // of before
    }
  }
  BOOST_TEST(home.told().settled.failed == 6u);  // those with 5xx
}

BOOST_AUTO_TEST_CASE(the_first_event_has_its_own_deadline_whenever_the_head_came) {
  const auto one = begin_stream();
  runtime.say(stream_head + chunk(": beat\n\n"));
  home.run_until([&] { return one->text == ": beat\n\n"; });
  BOOST_TEST(one->call.is_silent());
  one->call.tick(home.clock + 299s);  // stream_idle_timeout_s is 120
  BOOST_TEST(!one->result.has_value());
  runtime.say(chunk(": beat\n\n"));
  home.run_until([&] { return one->text.size() > 8; });
  one->call.tick(home.clock + 300s);
  BOOST_REQUIRE(one->result.has_value());
  BOOST_TEST((one->result->how == outcome::timed_out));
  BOOST_TEST(counts().estimated == 1u);
  BOOST_TEST(counts().prompt_tokens > 0u);
}

BOOST_AUTO_TEST_CASE(a_runtime_that_refuses_to_tell_usage_is_asked_again_and_remembered) {
  for (const auto* const status : {"400 Bad Request", "422 Unprocessable Entity"}) {
    place.link = std::make_shared<backend_link>();  // a new run
    ++place.incarnation;
    const auto place_of_run = endpoint();
    home.gate().handle(credits_given{0, 1, place_of_run});
    const auto one = begin(request(R"({"model":"demo","stream":true})"));
    wait_for_request();
    BOOST_TEST(runtime.requests.back().find("include_usage") != std::string::npos);
    runtime.say_whole(R"({"detail":"unknown field stream_options"})", status);
    wait_for_request();
    BOOST_TEST(runtime.requests.back().find("stream_options") == std::string::npos);
    BOOST_TEST(!one->result.has_value());
    runtime.say(stream_head + chunk(word + finish + done) + "0\r\n\r\n");
    wait_for_end(*one);
    BOOST_TEST(one->text == word + finish + done);
    BOOST_TEST(counts().estimated == 1u);
    BOOST_TEST(counts().completion_tokens == 2u);
    BOOST_TEST(place_of_run->link->refuses_usage());
    const auto next = begin_stream();  // by a credit that was kept
    BOOST_TEST(runtime.requests.back().find("stream_options") == std::string::npos);
    next->call.cancel();
  }
}

// The runtime quotes what the client said.
BOOST_AUTO_TEST_CASE(a_refusal_that_does_not_end_with_usage_is_not_remembered) {
  const auto run = endpoint();
  home.gate().handle(credits_given{0, 1, run});
  const auto one = begin(request(R"({"model":"demo","stream":true})"));
  for (int i = 0; i < 2; ++i) {
    wait_for_request();
    runtime.say_whole(R"({"detail":"odd: include_usage"})", "400 Bad Request");
  }
  wait_for_end(*one);
  BOOST_TEST(one->result->status == 400);
  BOOST_TEST(!run->link->refuses_usage());
}

BOOST_AUTO_TEST_CASE(a_refusal_for_another_reason_is_passed_on) {
  const auto one = begin_stream();
  runtime.say_whole(R"({"detail":"too long"})", "400 Bad Request");
  wait_for_end(*one);
  BOOST_TEST(one->result->status == 400);
  const auto asked = begin_stream(R"(,"stream_options":{"include_usage":true})");
  runtime.say_whole(R"({"detail":"stream_options"})", "400 Bad Request");
  wait_for_end(*asked);
  BOOST_TEST(asked->result->status == 400);
}

BOOST_AUTO_TEST_CASE(the_model_may_say_whether_usage_is_asked_for) {
  ask_for_usage(config::usage_wish::never);
  auto one = begin_stream();
  BOOST_TEST(runtime.requests.back().find("stream_options") == std::string::npos);
  one->call.cancel();
  ask_for_usage(config::usage_wish::always);
  one = begin_stream();
  BOOST_TEST(runtime.requests.back().find("include_usage") != std::string::npos);
  runtime.say_whole(R"({"detail":"stream_options"})", "400 Bad Request");
  wait_for_end(*one);
  BOOST_TEST(one->result->status == 400);
}

BOOST_AUTO_TEST_CASE(what_is_aborted_is_estimated) {
  // A usual answer of the model has five tokens; the first answer teaches it.
  const auto usual = begin_at_runtime(request());
  runtime.say_whole(usage_answer);
  wait_for_end(*usual);
  const auto plain = begin_at_runtime(request());
  plain->call.cancel();
  BOOST_TEST(counts().prompt_tokens == plain->call.request().body.size() / json_bytes_of_token);
  BOOST_TEST(counts().completion_tokens == home.gate().mean_completion(0));
  BOOST_TEST(counts().estimated == 1u);
  const auto stream = begin_stream();
  runtime.say(stream_head + chunk(word + word));
  home.run_until([&] { return stream->text == word + word; });
  stream->call.cancel();
  BOOST_TEST(counts().completion_tokens == 2u);
  const auto never_sent = begin(request());
  never_sent->call.cancel();
  BOOST_TEST(counts().prompt_tokens == 0u);
  BOOST_TEST(counts().estimated == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
