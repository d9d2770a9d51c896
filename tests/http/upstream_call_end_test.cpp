// How a call ends before its time: broken answers, deadlines, cancelling, and being preempted,
// which is no end.
#include <boost/test/unit_test.hpp>

#include "http/proxy/upstream_call.hpp"
#include "tests/http/upstream_call_rig.hpp"

namespace signalbox::http {

using namespace std::chrono_literals;

namespace {

struct ending_fixture : call_fixture {
  std::shared_ptr<call_recorder> begin_stream() {
    auto one = begin_at_runtime(request(R"({"model":"demo","stream":true})"));
    runtime.say(stream_head);
    home.run_until([&] { return one->stream_began; });
    return one;
  }
  void say_event(call_recorder& one) {
    const auto before = one.text.size();
    runtime.say(chunk("data: {\"choices\":[1]}\n\n"));
    home.run_until([&] { return one.text.size() > before; });
  }
  // The end of a request that the runtime may still have been working on.
  void wait_for_close() {
    home.run_until([&] { return runtime.closed_by_caller == 1; });
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(upstream_call_ends, ending_fixture)

BOOST_AUTO_TEST_CASE(an_answer_that_breaks_off_fails_and_is_not_passed_on) {
  const auto one = begin_at_runtime(request());
  runtime.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":");
  home.run_until([&] { return !one->call.text().empty(); });
  runtime.hang_up();
  wait_for_end(*one);
  BOOST_REQUIRE(one->failed.has_value());
  BOOST_TEST((one->failed->code == error_code::upstream_failed));
  BOOST_TEST(one->failed->message ==
             "The runtime closed the connection before its answer was complete.");
  BOOST_TEST(one->text.empty());
  BOOST_TEST(!one->completed);
  BOOST_TEST(runtime.requests.size() == 1u);  // never sent again
  BOOST_TEST(home.told().settled.failed == 1u);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_stream_that_breaks_off_keeps_its_events) {
  const auto one = begin_stream();
  BOOST_TEST(home.signs().heard == 1);  // its head
  say_event(*one);
  BOOST_TEST(home.signs().heard == 2);
  runtime.hang_up();
  wait_for_end(*one);
  BOOST_REQUIRE(one->failed.has_value());
  BOOST_TEST(one->text == "data: {\"choices\":[1]}\n\n");
  BOOST_TEST(home.ledger[0].counts.completion_tokens == 1u);
  BOOST_TEST(home.ledger[0].counts.estimated == 1u);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(an_answer_over_the_limit_is_refused_and_one_at_it_passes) {
  const auto at_limit = begin_at_runtime(request());
  runtime.say_whole(std::string(1000, ' '));
  wait_for_end(*at_limit);
  BOOST_TEST(at_limit->text.size() == 1000u);
  const auto over = begin_at_runtime(request());
  runtime.say_whole(std::string(1001, ' '));
  wait_for_end(*over);
  BOOST_REQUIRE(over->failed.has_value());
  BOOST_TEST((over->failed->code == error_code::upstream_too_large));
  wait_for_close();
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_runtime_that_says_nothing_times_out) {
  const auto one = begin_at_runtime(request());
  one->call.tick(home.clock + 300s - 1ms);
  BOOST_TEST(!one->result.has_value());
  one->call.tick(home.clock + 300s);
  BOOST_REQUIRE(one->failed.has_value());
  BOOST_TEST((one->failed->code == error_code::upstream_timeout));
  BOOST_TEST((one->result->how == outcome::timed_out));
  BOOST_TEST(one->result->status == 504);
  BOOST_TEST(home.told().settled.timed_out == 1u);
  BOOST_TEST(home.signs().deadlines == 1);
  BOOST_TEST(home.signs().heard == 0);
  wait_for_close();
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_stream_may_be_silent_only_while_its_listener_holds_it_back) {
  const auto one = begin_stream();
  one->call.pause();
  one->call.tick(home.clock + 100s);
  one->call.tick(home.clock + 200s);
  BOOST_TEST(!one->result.has_value());
  one->call.resume();
  one->call.tick(home.clock + 320s);
  BOOST_REQUIRE(one->result.has_value());
  BOOST_TEST((one->result->how == outcome::timed_out));
}

BOOST_AUTO_TEST_CASE(a_cancelled_call_gives_its_permit_back_and_tells_the_runtime) {
  const auto one = begin_at_runtime(request());
  one->call.cancel();
  one->call.cancel();  // no effect
  BOOST_REQUIRE(one->result.has_value());
  BOOST_TEST((one->result->how == outcome::cancelled));
  BOOST_TEST(one->result->status == 499);
  BOOST_TEST(!one->failed.has_value());
  const auto told = home.told();
  BOOST_TEST(told.settled.cancelled == 1u);
  BOOST_TEST(told.served[0].charged + told.served[0].corrected == 5);  // its prompt was read
  BOOST_TEST(who->account->limits.tokens_of(charge_day) == 5u);
  BOOST_TEST(home.ledger[0].counts.cancelled == 1u);
  wait_for_close();
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_listener_may_cancel_from_within) {
  const auto one = begin_at_runtime(request(R"({"model":"demo","stream":true})"));
  one->cancels_early = true;
  runtime.say(stream_head + chunk("data: {}\n\n"));
  wait_for_end(*one);
  BOOST_TEST((one->result->how == outcome::cancelled));
  BOOST_TEST(one->text.empty());
  wait_for_close();
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(the_end_of_the_gateway_cuts_a_call_off) {
  const auto one = begin(request());
  one->call.cut_off();
  BOOST_REQUIRE(one->failed.has_value());
  BOOST_TEST((one->failed->code == error_code::shutting_down));
  BOOST_TEST((one->result->how == outcome::cancelled));
  BOOST_TEST(home.told().cancelled.size() == 1u);  // its ticket
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_preempted_call_waits_anew_and_is_sent_again) {
  const auto one = begin_at_runtime(request());
  home.clock += 400s;  // longer than a ticket may wait, which this is not
  BOOST_TEST(one->call.preempt());
  BOOST_TEST(one->call.is_waiting());
  BOOST_TEST(!one->call.preempt());
  BOOST_TEST(home.gate().in_use(0) == 0u);
  BOOST_TEST(home.has_metric("signalbox_in_flight{model=\"demo\"} 0"));
  wait_for_close();
  home.clock += 10s;
  BOOST_TEST((one->call.queue_wait(home.clock) == 10s));
  const auto ticket = grant();
  BOOST_TEST((ticket.deadline == one->call.arrived_at() + 400s + 300s));
  wait_for_request();
  BOOST_TEST(runtime.requests[1] == runtime.requests[0]);
  home.clock += 2s;
  runtime.say_whole(usage_answer);
  wait_for_end(*one);
  BOOST_TEST(one->completed);
  BOOST_TEST(one->text == usage_answer);
  BOOST_TEST((one->result->queued == 10s));
  BOOST_TEST((one->call.queue_wait(home.clock) == 10s));
  BOOST_TEST(home.told().settled.total() == 1u);
  BOOST_REQUIRE(home.ledger.size() == 1u);
  BOOST_TEST(home.ledger[0].counts.requests == 1u);
  BOOST_TEST(home.ledger[0].counts.gpu_us == 402'000'000u);
  BOOST_TEST(home.ledger[0].counts.queue_us == 10'000'000u);
  BOOST_TEST(home.has_metric("signalbox_queue_wait_seconds_count{model=\"demo\"} 1"));
  require_nothing_held();
}

// A runtime that was preempted has seen the request, which is still parked by the next one.
BOOST_AUTO_TEST_CASE(preempting_costs_no_attempt) {
  const auto one = begin_at_runtime(request());
  for (int i = 0; i < 5; ++i) {
    BOOST_TEST(one->call.preempt());
    grant();
    wait_for_request();
  }
  {
    scripted_runtime gone(home.io);
    place.port = gone.port();
    place.incarnation = 2;
  }
  BOOST_TEST(one->call.preempt());
  grant();
  home.run_until([&] { return home.signs().refused == 1; });
  BOOST_TEST(!one->result.has_value());  // it goes back
  one->call.cancel();
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_call_can_be_preempted_before_it_was_sent) {
  home.gate().handle(credits_given{0, 1, endpoint()});
  const auto one = begin(request());
  BOOST_TEST(one->call.preempt());
  home.run_what_is_ready();  // the end of its turn
  BOOST_TEST(runtime.requests.empty());
  grant();
  wait_for_request();
  runtime.say_whole(usage_answer);
  wait_for_end(*one);
  BOOST_TEST(one->completed);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(half_a_whole_answer_is_dropped_when_its_call_is_preempted) {
  const auto one = begin_at_runtime(request());
  runtime.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half\":");
  home.run_until([&] { return !one->call.text().empty(); });
  BOOST_TEST(one->call.preempt());
  BOOST_TEST(one->call.head().bytes() == 0u);  // comments may begin a stream before the next one
  grant();
  wait_for_request();
  runtime.say_whole(usage_answer);
  wait_for_end(*one);
  BOOST_TEST(one->text == usage_answer);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_preempted_call_that_is_cancelled_while_it_waits_is_charged_nothing) {
  const auto one = begin_at_runtime(request());
  BOOST_TEST(one->call.preempt());
  one->call.cancel();
  double charged = 0;
  for (const auto& service : home.told().served) charged += service.charged + service.corrected;
  BOOST_TEST(charged == 0);
  BOOST_TEST(who->account->limits.tokens_of(charge_day) == 0u);
  BOOST_TEST(home.ledger[0].counts.prompt_tokens == 0u);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_stream_that_began_cannot_be_preempted) {
  const auto one = begin_stream();
  BOOST_TEST(!one->call.preempt());
  say_event(*one);
  BOOST_TEST(!one->call.preempt());
  runtime.say(chunk("data: [DONE]\n\n") + "0\r\n\r\n");
  wait_for_end(*one);
  BOOST_TEST(one->completed);
  BOOST_TEST(!one->call.preempt());
  require_nothing_held();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
