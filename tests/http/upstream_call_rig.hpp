// The parts of a test of upstream_call: a home that is no shard, with a real gate, a real pool and
// a clock of its own; a key; and a listener that writes down what it hears.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "http/proxy/upstream_call.hpp"
#include "tests/http/scripted_runtime.hpp"

namespace signalbox::http {

constexpr std::int32_t charge_day = 20000;  // since 1970-01-01

class test_home final : public call_home {
 public:
  struct entry {
    usage_source source;
    std::string client_id;
    usage_counts counts;
  };

  time_point now() const override { return clock; }
  const scheduling::counted_day& today() override { return day; }
  admission_gate& gate() override { return gate_; }
  upstream_pool& pool() override { return pool_; }
  bool may_go_on(const call_request&) override {
    ++key_checks;
    return !is_revoked;
  }
  void at_turn_end(std::shared_ptr<upstream_call> call) override {
    boost::asio::post(io, [this, call = std::move(call)] { call->turn_ended(clock); });
  }
  void account(const principal_ptr&, const served_model_ptr&, usage_source source,
               std::string_view client_id, usage_counts counts) override {
    ledger.push_back({source, std::string(client_id), counts});
  }

  // What the gate has told of the runtime so far.
  struct noticed {
    int heard = 0, deadlines = 0, refused = 0, completed = 0;
  };
  const noticed& signs() {
    gate_.flush_reports();
    return signs_;
  }
  // Returns what the gate told its queue since the last call.
  shard_batch told() {
    gate_.flush_reports();
    return std::exchange(told_, {});
  }
  bool has_metric(const std::string& line) const {
    return meters_.render().find(line + "\n") != std::string::npos;
  }
  // Runs the loop until `done`, which a broken call never is.
  void run_until(const std::function<bool()>& done) {
    io.restart();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done()) {
      BOOST_REQUIRE(std::chrono::steady_clock::now() < deadline);
      io.run_one_for(std::chrono::milliseconds(100));
    }
  }
  void run_what_is_ready() {
    io.restart();
    io.poll();
  }

  // A model on one GPU.
  served_model_ptr demo() {
    config::model_options options;
    options.name = "demo";
    return std::make_shared<const served_model>(
        served_model{0, options, 1, meters_.of_model(options.name)});
  }

  boost::asio::io_context io;
  time_point clock{std::chrono::hours(1)};
  scheduling::counted_day day{charge_day, charge_day, never};
  std::vector<entry> ledger;
  bool is_revoked = false;
  int key_checks = 0;

 private:
  void add(shard_batch batch) {
    for (const auto& report : batch.backends) {
      signs_.heard += report.signs.heard;
      signs_.deadlines += static_cast<int>(report.signs.deadlines);
      signs_.refused += report.signs.refused;
      signs_.completed += report.signs.completed;
    }
    told_.tickets.insert(told_.tickets.end(), batch.tickets.begin(), batch.tickets.end());
    told_.cancelled.insert(told_.cancelled.end(), batch.cancelled.begin(), batch.cancelled.end());
    told_.served.insert(told_.served.end(), batch.served.begin(), batch.served.end());
    told_.place_queries.insert(told_.place_queries.end(), batch.place_queries.begin(),
                               batch.place_queries.end());
    if (batch.keep_loaded) told_.keep_loaded = batch.keep_loaded;
    told_.settled.completed += batch.settled.completed;
    told_.settled.failed += batch.settled.failed;
    told_.settled.cancelled += batch.settled.cancelled;
    told_.settled.timed_out += batch.settled.timed_out;
    told_.settled.service += batch.settled.service;
    told_.settled.unlike_others += batch.settled.unlike_others;
  }

  metrics meters_{0, 1};
  upstream_pool pool_{io};
  shard_batch told_;
  noticed signs_;
  admission_gate gate_{0,
                       {},
                       [this](model_index, shard_batch batch) { add(std::move(batch)); },
                       [] {},
                       [this] { return clock; }};
};

// Owns a call, as every listener does.
class call_recorder final : public call_listener {
 public:
  call_recorder(call_home& home, call_request request) : call(home, std::move(request), *this) {}

  struct failure {
    error_code code;
    std::string message;
    double retry_after_s;
  };

  void call_placed(std::uint32_t position, double) override { place = position; }
  void call_stream_began() override {
    stream_began = true;
    if (cancels_early) call.cancel();
  }
  tunnel_end_ptr call_switched(std::string& head) override {
    head = "switched ";
    return client_end;
  }
  void call_turn_ended() override { take(); }
  int call_completed() override {
    take();
    completed = true;
    return call.head().status;
  }
  void call_failed(error_code code, std::string_view message, double retry_after_s) override {
    take();
    failed = failure{code, std::string(message), retry_after_s};
  }
  void call_ended(const call_result& how) override {
    BOOST_TEST(!result.has_value());  // once
    result = how;
  }

  upstream_call call;
  tunnel_end_ptr client_end;
  bool cancels_early = false;
  std::uint32_t place = 0;
  bool stream_began = false, completed = false;
  std::string text;
  std::optional<failure> failed;
  std::optional<call_result> result;

 private:
  void take() { text += std::exchange(call.text(), {}); }
};

inline principal_ptr make_key() {
  auto who = std::make_shared<principal>();
  who->key_id = "key_test";
  who->number = 1;
  who->limits.max_concurrent = 4;
  who->limits.tokens_per_day = 1000;
  who->account = std::make_shared<key_account>();
  return who;
}

inline constexpr const char* usage_answer =
    R"({"choices":[{}],"usage":{"prompt_tokens":7,"completion_tokens":5}})";
inline constexpr const char* stream_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

inline std::string chunk(const std::string& text) {
  std::ostringstream out;
  out << std::hex << text.size() << "\r\n" << text << "\r\n";
  return out.str();
}

struct call_fixture {
  test_home home;
  scripted_runtime runtime{home.io};
  served_model_ptr model = home.demo();
  principal_ptr who = make_key();
  backend_endpoint place;

  call_fixture() {
    place.backend = 1;
    place.host = place.address = "127.0.0.1";
    place.port = runtime.port();
    place.upstream_model = "runtime-name";
    place.incarnation = 1;
  }

  endpoint_ptr endpoint() const { return std::make_shared<backend_endpoint>(place); }

  // For the given body, which says {"model":"demo"…
  call_request request(std::string text = R"({"model":"demo","n":1})") {
    call_request out;
    auto body = std::make_shared<std::string>(std::move(text));
    out.body = *body;
    out.owner = body;
    out.path = "/v1/chat/completions";
    out.client_id = "client";
    out.request_id = "req-1";
    out.forwarded_headers = "X-Own: yes\r\n";
    out.model = model;
    out.who = who;
    out.max_answer_bytes = 1000;
    out.facts = std::get<request_facts>(read_request_body(*body));
    out.charge = {20, charge_day};
    return out;
  }

  std::shared_ptr<call_recorder> begin(call_request request) {
    BOOST_REQUIRE(!who->account->limits.begin_inference(who->limits, request.charge, {}, {}));
    auto one = std::make_shared<call_recorder>(home, std::move(request));
    one->call.start();
    return one;
  }
  // With a permit by credit, and the request at the runtime.
  std::shared_ptr<call_recorder> begin_at_runtime(call_request request) {
    home.gate().handle(credits_given{0, 1, endpoint()});
    auto one = begin(std::move(request));
    wait_for_request();
    return one;
  }
  void wait_for_request() {
    const auto before = runtime.requests.size();
    home.run_until([&] { return runtime.requests.size() > before; });
  }
  void wait_for_end(const call_recorder& one) {
    home.run_until([&] { return one.result.has_value(); });
  }
  // Grants the only ticket that was submitted since the last batch, and returns it.
  scheduling::ticket grant() {
    const auto tickets = home.told().tickets;
    BOOST_REQUIRE(tickets.size() == 1u);
    home.gate().handle(permit_granted{
        0, tickets[0].id, endpoint(), {1, work_class::realtime, 1, tickets[0].estimate}, {}});
    return tickets[0];
  }
  void require_nothing_held() {
    BOOST_TEST(home.gate().in_use(0) == 0u);
    BOOST_TEST(home.gate().waiting() == 0u);
    BOOST_TEST(who->account->limits.concurrent() == 0u);
    BOOST_TEST(home.has_metric("signalbox_in_flight{model=\"demo\"} 0"));
  }
};

}  // namespace signalbox::http
