// The simulated runtime's API, and each of its faults.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/runtimes/support.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using namespace signalbox::runtimes::testing;
using json = nlohmann::json;

namespace {

struct sim {
  std::unique_ptr<runtime_driver> driver = make_driver(programs);
  event_log events;
  std::unique_ptr<runtime_handle> handle;
  std::uint16_t port;

  explicit sim(std::vector<std::string> arguments = {"--decode-tps", "0", "--request-faults"}) {
    handle =
        driver->start(sim_model(programs, std::move(arguments)), request_of(1), events.callback());
    port = events.wait_for<runtime_ready>().port;
  }
  reply chat(const json& more = json::object(), const std::string& fault = {}) const {
    return send_once(port, {.body = chat_body(more), .fault = fault});
  }
  static std::string chat_body(const json& more) {
    json body{{"model", "demo"},
              {"messages", {{{"role", "user"}, {"content", " one  two\nthree "}}}}};
    if (more.is_object()) body.update(more);
    return body.dump();
  }
};

// The events of a stream; the last must be [DONE].
std::vector<json> events_of(const std::string& body) {
  std::vector<json> result;
  std::size_t at = 0;
  bool done = false;
  while (at < body.size()) {
    const auto end = body.find("\n\n", at);
    BOOST_REQUIRE(end != std::string::npos);
    BOOST_REQUIRE(body.compare(at, 6, "data: ") == 0);
    const auto data = body.substr(at + 6, end - at - 6);
    at = end + 2;
    BOOST_REQUIRE(!done);
    if (data == "[DONE]") {
      done = true;
    } else {
      result.push_back(json::parse(data));
    }
  }
  BOOST_REQUIRE(done);
  return result;
}

std::string text_of(const std::vector<json>& events) {
  std::string text;
  for (const auto& event : events) {
    for (const auto& choice : event["choices"]) text += choice["delta"].value("content", "");
  }
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(chat_completion) {
  const sim s;
  const auto answer = s.chat({{"max_tokens", 7}});
  BOOST_TEST(answer.status() == 200u);
  const auto body = json::parse(answer.body());
  BOOST_TEST(body["object"] == "chat.completion");
  BOOST_TEST(body["model"] == "demo");
  BOOST_TEST(body["choices"][0]["finish_reason"] == "length");
  BOOST_TEST(body["choices"][0]["message"]["content"] ==
             "This is the Signalbox simulated runtime. No ");
  BOOST_TEST(body["usage"]["prompt_tokens"] == 3);
  BOOST_TEST(body["usage"]["completion_tokens"] == 7);
  BOOST_TEST(body["usage"]["total_tokens"] == 10);
}

BOOST_AUTO_TEST_CASE(a_stream_says_the_same_word_by_word) {
  const sim s;
  const auto answer = s.chat({{"max_tokens", 20}, {"stream", true}});
  BOOST_TEST(answer.response["content-type"] == "text/event-stream");
  const auto events = events_of(answer.body());
  BOOST_REQUIRE(events.size() == 21u);  // one a token, and the finish
  BOOST_TEST(events[0]["choices"][0]["delta"]["role"] == "assistant");
  BOOST_TEST(events[20]["choices"][0]["finish_reason"] == "length");
  const auto whole = json::parse(s.chat({{"max_tokens", 20}}).body());
  BOOST_TEST(text_of(events) == whole["choices"][0]["message"]["content"].get<std::string>());
  std::int64_t before = 0;
  for (const auto& event : events) {
    BOOST_TEST(event["object"] == "chat.completion.chunk");
    BOOST_TEST(event["id"] == events[0]["id"]);
    BOOST_TEST(event["sim_sent_ns"].get<std::int64_t>() >= before);
    before = event["sim_sent_ns"].get<std::int64_t>();
  }
}

BOOST_AUTO_TEST_CASE(lengths_can_be_dictated) {
  const sim s;
  const auto usage = [&](const json& more) {
    return json::parse(s.chat(more).body())["usage"].dump();
  };
  BOOST_TEST(usage({{"sim_prompt_tokens", 11}, {"sim_completion_tokens", 5}}) ==
             R"({"completion_tokens":5,"prompt_tokens":11,"total_tokens":16})");
  BOOST_TEST(usage({{"sim_completion_tokens", 5}, {"max_tokens", 4}}) ==
             R"({"completion_tokens":4,"prompt_tokens":3,"total_tokens":7})");
  BOOST_TEST(usage({{"sim_completion_tokens", 0}}) ==
             R"({"completion_tokens":0,"prompt_tokens":3,"total_tokens":3})");
  BOOST_TEST(events_of(s.chat({{"sim_completion_tokens", 0}, {"stream", true}}).body()).size() ==
             1u);
  for (const json& bad : {json(-1), json(1.5), json("7"), json(99'999'999)}) {
    BOOST_TEST(s.chat({{"sim_completion_tokens", bad}}).status() == 400u);
  }
}

BOOST_AUTO_TEST_CASE(usage_in_streams_as_real_servers_do_it) {
  const auto stream = [](const char* mode, bool asked) {
    const sim s({"--decode-tps", "0", "--usage", mode});
    json more{{"max_tokens", 2}, {"stream", true}};
    if (asked) more["stream_options"] = {{"include_usage", true}};
    return events_of(s.chat(more).body());
  };
  BOOST_TEST(stream("asked", false).size() == 3u);
  BOOST_TEST(stream("never", true).size() == 3u);
  for (const auto& events : {stream("asked", true), stream("always", false)}) {
    BOOST_REQUIRE(events.size() == 4u);
    BOOST_TEST(events[3]["choices"].empty());
    BOOST_TEST(events[3]["usage"]["total_tokens"] == 5);
    BOOST_TEST(!events[2].contains("usage"));
  }
  const auto events = stream("finish_chunk", false);
  BOOST_REQUIRE(events.size() == 3u);
  BOOST_TEST(events[2]["choices"].size() == 1u);
  BOOST_TEST(events[2]["usage"]["total_tokens"] == 5);
}

BOOST_AUTO_TEST_CASE(plain_completions) {
  const sim s;
  const call whole{.target = "/v1/completions",
                   .body = R"({"model":"demo","prompt":["a b","c"],"max_tokens":2})"};
  const auto body = json::parse(send_once(s.port, whole).body());
  BOOST_TEST(body["object"] == "text_completion");
  BOOST_TEST(body["choices"][0]["text"] == "This is ");
  BOOST_TEST(body["usage"]["prompt_tokens"] == 3);
  const call stream{.target = "/v1/completions",
                    .body = R"({"model":"demo","prompt":"a","max_tokens":2,"stream":true})"};
  const auto events = events_of(send_once(s.port, stream).body());
  BOOST_REQUIRE(events.size() == 3u);
  BOOST_TEST(events[1]["choices"][0]["text"] == "is ");
}

BOOST_AUTO_TEST_CASE(embeddings_are_unit_vectors_of_their_text) {
  const sim s({"--embedding-dim", "8"});
  const auto ask = [&](const json& input) {
    const json body{{"model", "demo"}, {"input", input}};
    return json::parse(send_once(s.port, {.target = "/v1/embeddings", .body = body.dump()}).body());
  };
  const auto two = ask(json::array({"a b", "c"}));
  BOOST_REQUIRE(two["data"].size() == 2u);
  BOOST_TEST(two["usage"]["prompt_tokens"] == 3);
  BOOST_TEST(two["data"][0]["embedding"] != two["data"][1]["embedding"]);
  BOOST_TEST(ask("c")["data"][0]["embedding"] == two["data"][1]["embedding"]);
  double square = 0;
  for (const double x : two["data"][0]["embedding"]) square += x * x;
  BOOST_TEST(two["data"][0]["embedding"].size() == 8u);
  BOOST_TEST(std::abs(square - 1) < 1e-9);
}

BOOST_AUTO_TEST_CASE(errors_have_the_envelope) {
  const sim s({"--body-limit", "1000"});
  const auto check = [&](const call& c, unsigned status, const std::string& code) {
    auto answer = send_once(s.port, c);
    BOOST_TEST(answer.status() == status);
    BOOST_TEST(json::parse(answer.body())["error"]["code"] == code);
    return answer;
  };
  check({.body = "{"}, 400, "invalid_json");
  check({.body = "[]"}, 400, "invalid_value");
  check({.body = R"({"model":"demo"})"}, 400, "invalid_value");
  check({.body = R"({"model":"other","messages":[{}]})"}, 404, "model_not_found");
  check({.body = std::string(1001, ' ')}, 413, "body_too_large");
  check({.target = "/nowhere"}, 404, "not_found");
  const auto wrong = check({.target = "/v1/embeddings"}, 405, "method_not_allowed");
  BOOST_TEST(wrong.response["allow"] == "POST");
}

BOOST_AUTO_TEST_CASE(it_lists_its_model_and_says_what_it_is) {
  const sim s({"--memory", "16GiB"});
  const auto models = json::parse(send_once(s.port, {.target = "/v1/models"}).body());
  BOOST_TEST(models["data"][0]["id"] == "demo");
  const auto health = json::parse(send_once(s.port, {.target = "/health"}).body());
  BOOST_TEST(health["simulation"] == true);
  BOOST_TEST(health["memory_bytes"].get<std::uint64_t>() == 16ull << 30);
}

BOOST_AUTO_TEST_CASE(any_model_is_served_when_told_so) {
  const sim s({"--any-model", "--decode-tps", "0"});
  const auto body = json::parse(s.chat({{"model", "@text@\"x"}}).body());
  BOOST_TEST(body["model"] == "@text@\"x");
  const auto events =
      events_of(s.chat({{"model", "@text@\"x"}, {"stream", true}, {"max_tokens", 3}}).body());
  BOOST_TEST(events[1]["model"] == "@text@\"x");
  BOOST_TEST(text_of(events) == "This is the ");
}

BOOST_AUTO_TEST_CASE(everything_is_counted) {
  const sim s;
  s.chat({{"max_tokens", 5}});
  s.chat({{"max_tokens", 6}, {"stream", true}});
  BOOST_TEST(metric(s.port, "sim_requests_total") == 2);
  BOOST_TEST(metric(s.port, "sim_prompt_tokens_total") == 6);
  BOOST_TEST(metric(s.port, "sim_completion_tokens_total") == 11);
  BOOST_TEST(metric(s.port, "sim_active") == 0);
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_frees_its_slot) {
  const sim s({"--slots", "1", "--decode-tps", "20"});
  for (const bool stream : {true, false}) {
    const double cancelled = metric(s.port, "sim_cancelled_total");
    {
      http_client leaver(s.port);
      leaver.write({.body = sim::chat_body({{"max_tokens", 100'000}, {"stream", stream}})});
      if (stream) BOOST_TEST(!leaver.read_some().empty());
      wait_for_metric(s.port, "sim_active", 1);
    }
    wait_for_metric(s.port, "sim_cancelled_total", cancelled + 1);
    BOOST_TEST(metric(s.port, "sim_active") == 0);
    BOOST_TEST(s.chat({{"max_tokens", 1}}).status() == 200u);
  }
}

BOOST_AUTO_TEST_CASE(who_finds_no_slot_waits_and_who_leaves_the_line_is_forgotten) {
  const sim s({"--slots", "1", "--decode-tps", "20", "--max-waiting", "2"});
  auto holder = std::make_unique<http_client>(s.port);
  const call endless{.body = sim::chat_body({{"max_tokens", 100'000}, {"stream", true}})};
  holder->write(endless);
  holder->read_some();
  auto impatient = std::make_unique<http_client>(s.port);
  impatient->write(endless);
  http_client waiting(s.port);
  const call last{.body = sim::chat_body({{"max_tokens", 1}, {"stream", true}})};
  waiting.write(last);
  wait_for_metric(s.port, "sim_requests_total", 3);
  BOOST_TEST(s.chat({{"max_tokens", 1}}).status() == 503u);
  impatient.reset();
  wait_for_metric(s.port, "sim_cancelled_total", 1);
  BOOST_TEST(metric(s.port, "sim_active") == 1);
  holder.reset();
  BOOST_TEST(waiting.read_some().find("200 OK") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(faults_of_single_answers) {
  const sim s;
  BOOST_TEST(s.chat({}, "status=429").status() == 429u);
  BOOST_TEST(json::parse(s.chat({}, "status=502").body())["error"]["type"] == "server_error");
  const auto broken = s.chat({}, "bad_json");
  BOOST_TEST(broken.status() == 200u);
  BOOST_TEST(json::parse(broken.body(), nullptr, false).is_discarded());
  BOOST_TEST(bool(s.chat({}, "garbage").error));
  BOOST_TEST(s.chat({}, "slow_first_byte=0.05").status() == 200u);
  for (const char* bad : {"nonsense", "status=99", "status=x", "fail_start"}) {
    BOOST_TEST(s.chat({}, bad).status() == 400u);
  }
}

BOOST_AUTO_TEST_CASE(requests_ask_for_faults_in_vain_unless_it_was_told_to_heed_them) {
  const sim s({"--decode-tps", "0"});
  for (const char* fault : {"segfault", "status=429", "nonsense"}) {
    BOOST_TEST(s.chat({}, fault).status() == 200u);
  }
}

BOOST_AUTO_TEST_CASE(half_a_chunk) {
  const sim s;
  const auto answer = s.chat({{"stream", true}, {"max_tokens", 9}}, "half_chunk=2");
  BOOST_TEST((answer.error == boost::beast::http::error::partial_message));
  const auto last = answer.body().rfind("data: ");
  BOOST_TEST(answer.body().find("\n\n", last) == std::string::npos);
  BOOST_TEST(answer.body().find("\"is \"") != std::string::npos);  // two whole ones before it
  BOOST_TEST(s.chat().status() == 200u);
  BOOST_TEST(metric(s.port, "sim_active") == 0);
}

BOOST_AUTO_TEST_CASE(a_kept_connection_is_closed_all_the_same) {
  const sim s;
  for (const bool stream : {false, true}) {
    http_client client(s.port);
    const call c{.body = sim::chat_body({{"stream", stream}}), .fault = "close_idle"};
    const auto answer = client.send(c);
    BOOST_TEST(!answer.error);
    BOOST_TEST(answer.response.keep_alive());
    BOOST_TEST(client.read_some().empty());  // end of file
  }
}

BOOST_AUTO_TEST_CASE(a_hanging_request_does_not_hang_the_others) {
  const sim s;
  const call c{
      .body = sim::chat_body({}), .fault = "hang", .timeout = std::chrono::milliseconds(200)};
  BOOST_TEST((send_once(s.port, c).error == boost::beast::error::timeout));
  BOOST_TEST(s.chat().status() == 200u);
}

BOOST_AUTO_TEST_CASE(faults_given_at_start_hold_for_every_request) {
  const sim s({"--fault", "status=500"});
  BOOST_TEST(s.chat().status() == 500u);
  BOOST_TEST(send_once(s.port, {.target = "/health"}).status() == 200u);
}

BOOST_AUTO_TEST_CASE(faults_that_end_the_process) {
  for (const std::string fault : {"segfault", "oom"}) {
    sim s;
    BOOST_TEST(bool(s.chat({}, fault).error));
    const auto reason = s.events.wait_for<runtime_exited>().reason;
    BOOST_TEST(scheduling::to_string(reason) == fault);
  }
}

BOOST_AUTO_TEST_CASE(a_wrong_command_line_is_refused) {
  const auto driver = make_driver(programs);
  event_log events;
  const auto handle =
      driver->start(sim_model(programs, {"--fault", "nonsense"}), request_of(1), events.callback());
  const auto detail = events.wait_for<runtime_exited>().detail;
  BOOST_TEST(detail.starts_with("exit status 2 before it was ready"));
}

BOOST_AUTO_TEST_CASE(an_open_connection_holds_a_thread) {
  const sim s({"--threads", "2", "--decode-tps", "0"});
  const call ask{.body = sim::chat_body({})};
  std::optional<http_client> first(s.port);
  http_client second(s.port), third(s.port);
  BOOST_TEST(first->send(ask).status() == 200u);
  BOOST_TEST(second.send(ask).status() == 200u);
  third.write(ask);
  BOOST_TEST(second.send({.target = "/metrics"}).body().find("sim_requests_total 2\n") !=
             std::string::npos);
  first.reset();
  BOOST_TEST(third.read_some().starts_with("HTTP/1.1 200 OK"));
}

BOOST_AUTO_TEST_CASE(with_nagle_the_answers_are_the_same) {
  const sim s({"--nagle", "--decode-tps", "0"});
  const auto whole = json::parse(s.chat({{"max_tokens", 20}}).body());
  BOOST_TEST(whole["usage"]["completion_tokens"] == 20);
  const auto events = events_of(s.chat({{"max_tokens", 20}, {"stream", true}}).body());
  BOOST_TEST(text_of(events) == whole["choices"][0]["message"]["content"].get<std::string>());
}
