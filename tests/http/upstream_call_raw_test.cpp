// Calls whose answers nobody reads: they are passed on as they are, and what they cost is
// estimated.
#include <boost/test/unit_test.hpp>

#include "http/proxy/upstream_call.hpp"
#include "tests/http/upstream_call_rig.hpp"

namespace signalbox::http {

namespace {

struct raw_fixture : call_fixture {
  call_request raw_request() {
    auto out = request();
    out.is_raw = true;
    out.reads_usage = false;
    out.estimate_from_length = true;
    return out;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(upstream_call_raw, raw_fixture)

BOOST_AUTO_TEST_CASE(usage_that_a_client_may_have_made_up_is_not_believed) {
  const auto one = begin_at_runtime(raw_request());
  const std::string answer(usage_answer);
  runtime.say_whole(answer);
  wait_for_end(*one);
  BOOST_TEST(one->text == answer);
  const auto& counts = home.ledger.at(0).counts;
  BOOST_TEST(counts.prompt_tokens == one->call.request().body.size() / json_bytes_of_token);
  BOOST_TEST(counts.completion_tokens == answer.size() / json_bytes_of_token);
  BOOST_TEST(counts.estimated == 1u);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_stream_costs_its_length_whatever_is_in_it) {
  const auto one = begin_at_runtime(raw_request());
  runtime.say(stream_head);
  const std::string event = "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
  runtime.say(chunk(event) + "0\r\n\r\n");
  wait_for_end(*one);
  BOOST_TEST(one->text == event);
  BOOST_TEST(home.ledger.at(0).counts.completion_tokens == event.size() / json_bytes_of_token);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_refusal_costs_nothing) {
  const auto one = begin_at_runtime(raw_request());
  runtime.say("HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\n\r\nnot here");
  wait_for_end(*one);
  BOOST_TEST(one->text == "not here");
  BOOST_TEST(home.ledger.at(0).counts.prompt_tokens == 0u);
  BOOST_TEST(home.ledger.at(0).counts.completion_tokens == 0u);
  BOOST_TEST(home.ledger.at(0).counts.errors == 1u);
}

BOOST_AUTO_TEST_CASE(the_head_of_a_stream_alone_is_no_stream) {
  auto asked = raw_request();
  asked.method = "HEAD";
  asked.body = {};
  asked.facts = {};
  const auto one = begin_at_runtime(std::move(asked));
  runtime.say(stream_head);
  wait_for_end(*one);
  BOOST_TEST(one->completed);
  BOOST_TEST(!one->stream_began);
  BOOST_TEST(one->text.empty());
  require_nothing_held();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
