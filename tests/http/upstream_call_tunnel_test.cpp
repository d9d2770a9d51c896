// Calls that ask for another protocol: what the runtime hears, and how they end and are counted.
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstring>

#include "http/proxy/upstream_call.hpp"
#include "tests/http/upstream_call_rig.hpp"

namespace signalbox::http {

using namespace std::chrono_literals;

namespace {

// A client on the loop of the test, which takes all that it gets.
class loop_client final : public tunnel_end {
 public:
  explicit loop_client(boost::asio::io_context& io) : io_(io) {}

  void read(boost::asio::mutable_buffer into, transfer_done tell) override {
    into_ = into;
    reader_ = std::move(tell);
  }
  void write(boost::asio::const_buffer all, transfer_done tell) override {
    heard.append(static_cast<const char*>(all.data()), all.size());
    boost::asio::post(io_, [tell = std::move(tell), size = all.size()] { tell({}, size); });
  }
  bool end_sending() override {
    has_ended = true;
    return true;
  }
  void close(bool) override { is_closed = true; }

  void say(std::string_view text) {
    std::memcpy(into_.data(), text.data(), std::min(text.size(), into_.size()));
    std::exchange(reader_, nullptr)({}, text.size());
  }
  // A handler that waits keeps its tunnel, which keeps this.
  void forget() { reader_ = nullptr; }
  void fail(const io_error& error) { std::exchange(reader_, nullptr)(error, 0); }

  std::string heard;
  bool has_ended = false, is_closed = false;

 private:
  boost::asio::io_context& io_;
  boost::asio::mutable_buffer into_;
  transfer_done reader_;
};

struct switching_fixture : call_fixture {
  std::shared_ptr<loop_client> client = std::make_shared<loop_client>(home.io);

  ~switching_fixture() { client->forget(); }

  std::shared_ptr<call_recorder> ask(std::string_view protocol = "own") {
    auto asked = request();
    asked.method = "GET";
    asked.path = "/ws";
    asked.body = {};
    asked.facts = {};
    asked.upgrade = protocol;
    asked.is_raw = asked.estimate_from_length = true;
    asked.reads_usage = false;
    asked.dialect = dialect::other;
    home.gate().handle(credits_given{0, 1, endpoint()});
    auto one = begin(std::move(asked));
    one->client_end = client;
    wait_for_request();
    return one;
  }
  std::shared_ptr<call_recorder> ask_and_switch(const std::string& rest = {},
                                                std::string_view protocol = "own") {
    auto one = ask(protocol);
    runtime.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " +
                std::string(protocol) + "\r\n\r\n" + rest);
    home.run_until([&] { return client->heard.size() >= rest.size() + 9; });
    return one;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(upstream_call_tunnels, switching_fixture)

BOOST_AUTO_TEST_CASE(the_protocol_is_asked_for_and_what_follows_its_head_is_passed_on) {
  const auto one = ask_and_switch("first");
  const auto& asked = runtime.requests.at(0);
  BOOST_TEST(asked.find("\r\nConnection: Upgrade\r\nUpgrade: own\r\n") != std::string::npos);
  BOOST_TEST(client->heard == "switched first");
  BOOST_TEST(one->call.head().upgrade() == "own");
  BOOST_TEST(!one->result.has_value());
  BOOST_TEST(home.gate().in_use(0) == 1u);
  runtime.hang_up();
  home.run_until([&] { return client->has_ended; });
  BOOST_TEST(!one->result.has_value());  // the client may still speak
  client->fail(boost::asio::error::eof);
  wait_for_end(*one);
  BOOST_TEST((one->result->how == outcome::completed));
  BOOST_TEST(one->result->status == 101);
  BOOST_TEST(client->is_closed);
  BOOST_TEST(!one->completed);
  BOOST_TEST(!one->failed.has_value());
  BOOST_TEST(home.ledger.at(0).counts.successes == 1u);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(it_costs_what_went_through_it) {
  const auto one = ask_and_switch();
  client->say(std::string(400, 'q'));
  runtime.say(std::string(4000, 'a'));
  home.run_until([&] { return client->heard.size() >= 4009; });
  one->call.cancel();
  wait_for_end(*one);
  BOOST_TEST(one->result->status == 499);
  const auto& counts = home.ledger.at(0).counts;
  BOOST_TEST(counts.prompt_tokens == 100u);
  BOOST_TEST(counts.completion_tokens == 1000u);
  BOOST_TEST(counts.estimated == 1u);
  BOOST_TEST(client->is_closed);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(what_went_through_is_charged_to_the_day_it_did) {
  const auto one = ask_and_switch();
  const auto& limits = who->account->limits;
  const auto say = [&](std::size_t bytes) {
    const auto before = client->heard.size();
    runtime.say(std::string(bytes, 'a'));
    home.run_until([&] { return client->heard.size() >= before + bytes; });
  };
  say(400);
  one->call.tick(home.clock);
  BOOST_TEST(limits.tokens_of(charge_day) == 120u);  // with the estimate of the rig
  ++home.day.number;
  say(800);
  one->call.tick(home.clock);
  BOOST_TEST(limits.tokens_of(charge_day + 1) == 200u);
  say(1200);
  one->call.cancel();
  wait_for_end(*one);
  BOOST_TEST(limits.tokens_of(charge_day + 1) == 500u);
  BOOST_TEST(home.ledger.at(0).counts.completion_tokens == 600u);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(only_silence_ends_it) {
  const auto one = ask_and_switch();
  const auto idle = std::chrono::duration_cast<duration>(
      std::chrono::duration<double>(model->options.stream_idle_timeout_s));
  const auto longest = std::chrono::duration_cast<duration>(
      std::chrono::duration<double>(model->options.request_timeout_s));
  for (duration passed{}; passed < 2 * longest; passed += idle / 2) {
    const auto before = client->heard.size();
    runtime.say("x");
    home.run_until([&] { return client->heard.size() > before; });
    home.clock += idle / 2;
    one->call.tick(home.clock);
    BOOST_REQUIRE(!one->result.has_value());
  }
  home.clock += idle;
  one->call.tick(home.clock);
  BOOST_REQUIRE(one->result.has_value());
  BOOST_TEST((one->result->how == outcome::timed_out));
  BOOST_TEST(one->result->status == 504);
  BOOST_TEST(home.ledger.at(0).counts.errors == 1u);
  BOOST_TEST(!one->failed.has_value());  // nobody would understand an answer
  BOOST_TEST(client->is_closed);
  BOOST_TEST(home.signs().deadlines == 0);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_key_that_was_revoked_loses_it_within_a_second) {
  const auto one = ask_and_switch();
  for (int i = 0; i < 20; ++i) one->call.tick(home.clock += 100ms);
  BOOST_TEST(home.key_checks >= 2);
  BOOST_TEST(home.key_checks <= 3);
  home.is_revoked = true;
  BOOST_REQUIRE(!one->result.has_value());
  home.clock += 1s;
  one->call.tick(home.clock);
  BOOST_REQUIRE(one->result.has_value());
  BOOST_TEST((one->result->how == outcome::cancelled));
  BOOST_TEST(one->result->status == 401);
  BOOST_TEST(!one->failed.has_value());
  BOOST_TEST(client->is_closed);
  BOOST_TEST(home.ledger.at(0).counts.cancelled == 1u);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_runtime_that_breaks_fails_it) {
  const auto one = ask_and_switch();
  runtime.reset();
  wait_for_end(*one);
  BOOST_TEST((one->result->how == outcome::failed));
  BOOST_TEST(one->result->status == 502);
  BOOST_TEST(client->is_closed);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_websocket_whose_runtime_is_gone_failed) {
  const auto one = ask_and_switch({}, "websocket");
  runtime.hang_up();
  wait_for_end(*one);
  BOOST_TEST((one->result->how == outcome::failed));
  BOOST_TEST(one->result->status == 502);
  BOOST_TEST(client->is_closed);
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(the_end_of_the_gateway_closes_it) {
  const auto one = ask_and_switch();
  one->call.cut_off();
  BOOST_REQUIRE(one->result.has_value());
  BOOST_TEST(one->result->status == 503);
  BOOST_TEST(!one->failed.has_value());
  BOOST_TEST(client->is_closed);
  home.run_until([&] { return runtime.closed_by_caller == 1; });
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(another_answer_is_one_like_any_other) {
  const auto one = ask();
  runtime.say_whole("no");
  wait_for_end(*one);
  BOOST_TEST(one->completed);
  BOOST_TEST(one->text == "no");
  home.run_until([&] { return runtime.closed_by_caller == 1; });  // it is not used again
  require_nothing_held();
}

BOOST_AUTO_TEST_CASE(a_switch_that_nobody_asked_for_is_no_answer) {
  const auto one = begin_at_runtime(request());
  runtime.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: own\r\n\r\n");
  wait_for_end(*one);
  BOOST_REQUIRE(one->failed.has_value());
  BOOST_TEST((one->failed->code == error_code::upstream_failed));
  require_nothing_held();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
