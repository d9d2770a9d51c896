// One request to a runtime, without server, client or shard: how it is admitted, sent, answered,
// retried, preempted and settled.
#include "http/proxy/upstream_call.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/http/upstream_call_rig.hpp"

namespace signalbox::http {

using namespace std::chrono_literals;

BOOST_FIXTURE_TEST_SUITE(upstream_calls, call_fixture)

BOOST_AUTO_TEST_CASE(a_whole_answer_is_read_counted_and_settled) {
  const auto one = begin_at_runtime(request());
  BOOST_TEST(
      runtime.requests[0] ==
      "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(runtime.port()) +
          "\r\nX-Own: yes\r\nX-Request-Id: req-1\r\nContent-Length: 30\r\n\r\n"
          R"({"model":"runtime-name","n":1})");
  home.clock += 3s;
  runtime.say_whole(usage_answer);
  wait_for_end(*one);
  BOOST_TEST(one->completed);
  BOOST_TEST(!one->stream_began);
  BOOST_TEST(one->text == usage_answer);
  BOOST_TEST(one->result->status == 200);
  BOOST_TEST((one->result->how == outcome::completed));
  BOOST_TEST((one->result->took == 3s));
  BOOST_TEST((one->result->queued == 0s));
  const auto told = home.told();
  BOOST_TEST(told.settled.completed == 1u);
  BOOST_TEST(told.settled.total() == 1u);
  BOOST_TEST((told.settled.service == 3s));
  BOOST_REQUIRE(told.served.size() == 1u);
  BOOST_TEST(told.served[0].charged + told.served[0].corrected == 7 + 2 * 5);
  BOOST_TEST(who->account->limits.tokens_of(charge_day) == 7u + 5u);
  BOOST_REQUIRE(home.ledger.size() == 1u);
  const auto& entry = home.ledger[0];
  BOOST_TEST((entry.source == usage_source::realtime));
  BOOST_TEST(entry.client_id == "client");
  BOOST_TEST(entry.counts.successes == 1u);
  BOOST_TEST(entry.counts.prompt_tokens == 7u);
  BOOST_TEST(entry.counts.completion_tokens == 5u);
  BOOST_TEST(entry.counts.estimated == 0u);
  BOOST_TEST(entry.counts.gpu_us == 3'000'000u);
  require_nothing_held();
}

// It takes less than an answer would, and the runtime may still fail at each of these.
BOOST_AUTO_TEST_CASE(a_refusal_is_no_sign_that_the_runtime_can_serve) {
  for (const std::string status : {"404 Not Found", "200 OK"}) {
    const auto one = begin_at_runtime(request());
    runtime.say("HTTP/1.1 " + status + "\r\nContent-Length: 2\r\n\r\n{}");
    wait_for_end(*one);
    BOOST_TEST((one->result->how == outcome::completed));
    const bool is_refusal = status != "200 OK";
    BOOST_TEST(home.told().settled.unlike_others == (is_refusal ? 1u : 0u), status);
    BOOST_TEST(home.signs().completed == (is_refusal ? 0 : 1), status);
    require_nothing_held();
  }
}

BOOST_AUTO_TEST_CASE(a_stream_comes_event_by_event_without_the_usage_that_nobody_wanted) {
  const auto one = begin_at_runtime(request(R"({"model":"demo","stream":true})"));
  runtime.say(stream_head);
  home.run_until([&] { return one->stream_began; });
  runtime.say(chunk("data: {\"choices\":[1]}\n\ndata: {\"cho"));
  home.run_until([&] { return !one->text.empty(); });
  BOOST_TEST(one->text == "data: {\"choices\":[1]}\n\n");
  runtime.say(chunk("ices\":[2]}\n\n"));
  runtime.say(
      chunk("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n"));
  runtime.say(chunk("data: [DONE]\n\n") + "0\r\n\r\n");
  wait_for_end(*one);
  BOOST_TEST(one->completed);
  BOOST_TEST(one->text == "data: {\"choices\":[1]}\n\ndata: {\"choices\":[2]}\n\ndata: [DONE]\n\n");
  BOOST_TEST(home.ledger[0].counts.prompt_tokens == 3u);
  BOOST_TEST(home.ledger[0].counts.completion_tokens == 2u);
  BOOST_TEST(home.told().settled.completed == 1u);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(other_methods_go_on_without_a_body) {
  for (const std::string method : {"GET", "HEAD"}) {
    auto plain = request();
    plain.method = method;
    plain.path = "/v1/models";
    plain.body = {};
    plain.facts = {};
    const auto one = begin_at_runtime(std::move(plain));
    BOOST_TEST(runtime.requests.back() == method + " /v1/models HTTP/1.1\r\nHost: 127.0.0.1:" +
                                              std::to_string(runtime.port()) +
                                              "\r\nX-Own: yes\r\nX-Request-Id: req-1\r\n\r\n");
    const std::string body = method == "HEAD" ? "" : "0123456789";
    runtime.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + body);
    wait_for_end(*one);
    BOOST_TEST(one->completed);
    BOOST_TEST(one->text == body);
  }
  BOOST_TEST(runtime.connections == 1);  // an answer to HEAD ends where its head ends
}

BOOST_AUTO_TEST_CASE(a_runtime_gets_its_path_and_its_key) {
  place.path = "/openai/v2";
  place.api_key = "rk-secret";
  const auto one = begin_at_runtime(request());
  BOOST_TEST(runtime.requests[0] ==
             "POST /openai/v2/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:" +
                 std::to_string(runtime.port()) +
                 "\r\nX-Own: yes\r\nX-Request-Id: req-1\r\nAuthorization: Bearer rk-secret\r\n"
                 "Content-Length: 30\r\n\r\n"
                 R"({"model":"runtime-name","n":1})");
  runtime.say_whole(usage_answer);
  wait_for_end(*one);
  BOOST_TEST(one->completed);
}

BOOST_AUTO_TEST_CASE(a_credential_that_the_runtime_refuses_is_no_fault_of_the_client) {
  place.api_key = "rk-secret";
  for (const std::string status : {"401 Unauthorized", "407 Proxy Authentication Required"}) {
    const auto one = begin_at_runtime(request());
    runtime.say_whole(R"({"error":"who are you?"})", status);
    wait_for_end(*one);
    BOOST_REQUIRE(one->failed.has_value());
    BOOST_TEST((one->failed->code == error_code::upstream_failed));
    BOOST_TEST(one->failed->message ==
               "The runtime of model 'demo' refused the gateway's "
               "credential (" +
                   status.substr(0, 3) + "); the operator sets it with the model's api_key_env.");
    BOOST_TEST(one->result->status == 502);
    BOOST_TEST((one->result->how == outcome::failed));
    BOOST_TEST(one->text.empty());
    require_nothing_held();
  }
}

BOOST_AUTO_TEST_CASE(an_answer_of_an_error_counts_as_one) {
  const auto one = begin_at_runtime(request());
  runtime.say_whole("{}", "500 Oh");
  wait_for_end(*one);
  BOOST_TEST(one->completed);
  BOOST_TEST(one->call.head().status == 500);
  BOOST_TEST((one->result->how == outcome::failed));
  BOOST_TEST(home.told().settled.failed == 1u);
  BOOST_TEST(home.ledger[0].counts.errors == 1u);
}

BOOST_AUTO_TEST_CASE(a_refusal_says_when_to_come_again) {
  const auto one = begin(request());
  const auto tickets = home.told().tickets;
  BOOST_REQUIRE(tickets.size() == 1u);
  home.gate().handle(ticket_refused{0, tickets[0].id, refusal::queue_full, 12, ""});
  BOOST_REQUIRE(one->failed.has_value());
  BOOST_TEST((one->failed->code == error_code::queue_full));
  BOOST_TEST(one->failed->message == "The queue of model 'demo' is full, please try again later.");
  BOOST_TEST(one->failed->retry_after_s == 12);
  BOOST_TEST(one->result->status == 503);
  BOOST_TEST(home.ledger[0].counts.errors == 1u);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_waiting_call_hears_its_place_and_leaves_at_its_deadline) {
  const auto one = begin(request());
  one->call.ask_place();
  const auto told = home.told();
  BOOST_REQUIRE(told.place_queries.size() == 1u);
  home.gate().handle(ticket_placed{0, told.place_queries[0], 4, 1});
  BOOST_TEST(one->place == 4u);
  BOOST_TEST(!one->call.preempt());  // it has no permit
  home.clock += 301s;                // the queue should have refused it at 300
  one->call.tick(home.clock);
  BOOST_TEST(!one->result.has_value());
  home.clock += 1s;
  one->call.tick(home.clock);
  BOOST_REQUIRE(one->failed.has_value());
  BOOST_TEST((one->failed->code == error_code::queue_timeout));
  BOOST_TEST(home.told().cancelled == told.place_queries, boost::test_tools::per_element());
  require_nothing_held();
}

// Nothing of it was ever sent, so it waits where it stood, as long as it may.
BOOST_AUTO_TEST_CASE(a_refused_connection_sends_the_call_back_to_its_queue) {
  {
    scripted_runtime gone(home.io);
    place.port = gone.port();
  }
  const auto one = begin(request());
  one->call.ask_place();
  home.gate().handle(ticket_placed{0, home.told().tickets.at(0).id, 1, 1});
  home.gate().handle(permit_granted{0, 1, endpoint(), {1, work_class::realtime, 1, 20}, {{}, 8}});
  for (int i = 1; i <= 9; ++i) {
    home.run_until([&] { return home.signs().refused == i; });
    BOOST_TEST(!one->call.is_waiting());  // but for the next tick
    home.clock += 1s;                     // nothing is sent to a runtime that refused a moment ago
    one->call.tick(home.clock);
    BOOST_REQUIRE(one->call.is_waiting());
    const auto told = home.told();
    BOOST_TEST(told.settled.total() == 0u);  // it goes on
    BOOST_REQUIRE(told.tickets.size() == 1u);
    BOOST_TEST(told.tickets[0].place.value().sequence == 8u);
    BOOST_TEST((told.tickets[0].deadline == one->call.arrived_at() + 300s));
    BOOST_TEST((one->call.queue_wait(home.clock) == i * 1s));
    home.gate().handle(permit_granted{
        0, told.tickets[0].id, endpoint(), {1, work_class::realtime, 1, 20}, {{}, 8}});
  }
  one->call.cancel();
  BOOST_TEST(who->account->limits.tokens_of(charge_day) == 0u);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_call_that_comes_back_is_refused_as_any_other) {
  {
    scripted_runtime gone(home.io);
    place.port = gone.port();
  }
  auto patient = request();
  patient.max_wait_s = 5;
  const auto one = begin(std::move(patient));
  BOOST_TEST(grant().is_patient);
  home.run_until([&] { return home.signs().refused == 1; });
  one->call.tick(home.clock);
  const auto ticket = home.told().tickets.at(0);
  BOOST_TEST(ticket.is_patient);
  BOOST_TEST((ticket.deadline == one->call.arrived_at() + 5s));
  home.gate().handle(ticket_refused{0, ticket.id, refusal::deadline_passed, 1, ""});
  BOOST_REQUIRE(one->failed.has_value());
  BOOST_TEST((one->failed->code == error_code::queue_timeout));
  BOOST_TEST(one->result->status == 503);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_call_that_came_back_goes_to_the_next_run_of_its_backend) {
  {
    scripted_runtime gone(home.io);
    place.port = gone.port();
  }
  const auto one = begin(request());
  BOOST_TEST(!grant().is_patient);
  home.run_until([&] { return home.signs().refused == 1; });
  one->call.tick(home.clock);
  place.port = runtime.port();
  place.incarnation = 2;
  place.link = std::make_shared<backend_link>();
  grant();
  wait_for_request();
  BOOST_TEST(runtime.requests[0].find("Host: 127.0.0.1:" + std::to_string(runtime.port())) !=
             std::string::npos);
  runtime.say_whole(usage_answer);
  wait_for_end(*one);
  BOOST_TEST(one->completed);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_stale_connection_is_replaced_at_once_but_not_later) {
  const auto first = begin_at_runtime(request());
  runtime.say_whole(usage_answer);
  wait_for_end(*first);
  const auto second = begin_at_runtime(request());
  BOOST_TEST(runtime.connections == 1);
  runtime.hang_up();
  wait_for_request();
  BOOST_TEST(runtime.connections == 2);
  BOOST_TEST(runtime.requests[2] == runtime.requests[1]);
  runtime.say_whole(usage_answer);
  wait_for_end(*second);
  BOOST_TEST(second->completed);

  const auto third = begin_at_runtime(request());
  BOOST_TEST(runtime.connections == 2);
  home.clock += 2s;  // perhaps the request made it die
  runtime.hang_up();
  wait_for_end(*third);
  BOOST_REQUIRE(third->failed.has_value());
  BOOST_TEST((third->failed->code == error_code::upstream_failed));
  BOOST_TEST(runtime.requests.size() == 4u);
  require_nothing_held();
}

// The end of idle connections says nothing new, and must not hide what the broken one said.
BOOST_AUTO_TEST_CASE(nothing_is_sent_to_a_runtime_that_is_dying) {
  const auto broken = begin_at_runtime(request());
  const auto whole = begin_at_runtime(request());
  BOOST_REQUIRE(runtime.connections == 2);
  runtime.say_whole(usage_answer);
  wait_for_end(*whole);  // its connection is idle
  home.clock += 2s;
  runtime.hang_up_all();
  wait_for_end(*broken);
  home.io.restart();
  home.io.poll();
  home.told();
  const auto next = begin(request());
  home.run_what_is_ready();
  BOOST_TEST(runtime.connections == 2);
  BOOST_TEST(home.signs().refused == 0);
  home.clock += 1s;
  next->call.tick(home.clock);
  grant();
  wait_for_request();
  runtime.say_whole(usage_answer);
  wait_for_end(*next);
  BOOST_TEST(next->completed);
  require_nothing_held();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
