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

BOOST_AUTO_TEST_CASE(an_answer_passes_as_it_comes_whatever_its_length) {
  const auto one = begin_at_runtime(raw_request());
  runtime.say("HTTP/1.1 500 Oh\r\nContent-Type: a/b\r\nContent-Length: 4000\r\n\r\n");
  home.run_until([&] { return one->stream_began; });
  BOOST_TEST(one->call.passes_bytes());
  BOOST_TEST(one->call.head().status == 500);
  for (std::size_t sent = 1000; sent <= 4000; sent += 1000) {
    runtime.say(std::string(1000, 'x'));
    home.run_until([&] { return one->text.size() == sent; });
  }
  wait_for_end(*one);
  BOOST_TEST(one->completed);
  BOOST_TEST(one->result->status == 500);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(an_answer_without_a_length_ends_with_its_connection) {
  for (const std::string type : {"a/b", "text/event-stream"}) {
    const auto one = begin_at_runtime(raw_request());
    runtime.say("HTTP/1.1 200 OK\r\nContent-Type: " + type + "\r\n\r\ndata: cut");
    runtime.hang_up();
    wait_for_end(*one);
    BOOST_TEST(one->completed, type);
    BOOST_TEST(one->text == "data: cut");
    require_nothing_held();
  }
}

BOOST_AUTO_TEST_CASE(an_answer_that_breaks_fails) {
  const auto broken = begin_at_runtime(raw_request());
  runtime.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
  home.run_until([&] { return broken->text == "first"; });
  runtime.hang_up();
  wait_for_end(*broken);
  BOOST_REQUIRE(broken->failed.has_value());
  BOOST_TEST((broken->failed->code == error_code::upstream_failed));
  BOOST_TEST((broken->result->how == outcome::failed));
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(an_answer_that_stops_times_out) {
  const auto silent = begin_at_runtime(raw_request());
  runtime.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
  home.run_until([&] { return silent->text == "first"; });
  home.clock += from_seconds(model->options.stream_idle_timeout_s);
  silent->call.tick(home.clock);
  BOOST_REQUIRE(silent->failed.has_value());
  BOOST_TEST((silent->result->how == outcome::timed_out));
  require_nothing_held();
}

// The runtime is not to blame for it.
BOOST_AUTO_TEST_CASE(an_answer_that_its_client_does_not_take_is_cancelled_in_the_end) {
  const auto slow = begin_at_runtime(raw_request());
  runtime.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
  home.run_until([&] { return slow->text == "first"; });
  slow->call.pause();
  home.clock += from_seconds(model->options.request_timeout_s);
  slow->call.tick(home.clock);
  BOOST_REQUIRE(slow->failed.has_value());
  BOOST_TEST((slow->result->how == outcome::cancelled));
  BOOST_TEST(home.signs().deadlines == 0u);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(what_has_come_is_charged_while_more_comes) {
  const auto one = begin_at_runtime(raw_request());
  runtime.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  const auto before = who->account->limits.tokens_of(charge_day);
  runtime.say(chunk(std::string(400, 'a')));
  home.run_until([&] { return one->text.size() == 400; });
  one->call.tick(home.clock);
  BOOST_TEST(who->account->limits.tokens_of(charge_day) == before + 400 / json_bytes_of_token);
  runtime.say("0\r\n\r\n");
  wait_for_end(*one);
  BOOST_TEST(home.ledger.at(0).counts.completion_tokens == 400 / json_bytes_of_token);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(an_answer_without_a_body_is_whole_with_its_head) {
  for (const std::string status : {"204 No Content", "304 Not Modified"}) {
    const auto one = begin_at_runtime(raw_request());
    runtime.say("HTTP/1.1 " + status + "\r\nX-Own: yes\r\n\r\n");
    wait_for_end(*one);
    BOOST_TEST(one->completed, status);
    BOOST_TEST(!one->stream_began);
  }
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
