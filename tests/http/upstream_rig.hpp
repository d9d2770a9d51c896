// The parts of a test of connections to runtimes: a sink that writes down what it hears, and a pool
// on the loop of the test.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "http/proxy/upstream_pool.hpp"
#include "tests/http/scripted_runtime.hpp"

namespace signalbox::http {

struct answer_recorder : upstream_sink {
  int status = 0;  // 0: no head yet
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  std::optional<upstream_end> end;

  void upstream_headers(upstream_head& head) override {
    status = head.status;
    head.for_each_field([this](std::string_view name, std::string_view value) {
      fields.emplace_back(name, value);
    });
  }
  void upstream_body(std::string_view bytes) override { body += bytes; }
  void upstream_ended(upstream_end how) override {
    BOOST_TEST(!end.has_value());  // once
    end = how;
  }
};

struct upstream_fixture {
  boost::asio::io_context io;
  scripted_runtime runtime{io};
  std::shared_ptr<backend_endpoint> place = std::make_shared<backend_endpoint>();
  upstream_pool pool{io};

  upstream_fixture() {
    place->backend = 1;
    place->host = place->address = "127.0.0.1";
    place->port = runtime.port();
    place->incarnation = 1;
    keep_idle(std::chrono::hours(1));
  }

  backend_link& link() { return *place->link; }
  void keep_idle(duration time, std::uint32_t most = 100) { link().set_rules(most, time); }

  // Runs the loop until `done`, which a broken connection never is.
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

  // Sends a request and waits until the runtime has it.
  void ask(answer_recorder& sink, upstream_pool& by, bool fresh = false) {
    const auto before = runtime.requests.size();
    by.take(place, fresh)->send({"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n", "{}"}, sink);
    run_until([&] { return runtime.requests.size() > before; });
  }
  void ask(answer_recorder& sink) { ask(sink, pool); }
  void wait_for_end(const answer_recorder& sink) {
    run_until([&] { return sink.end.has_value(); });
  }
  // A whole exchange, after which the connection is idle if it may be.
  void exchange(upstream_pool& by, const std::string& fields = {}, bool fresh = false) {
    answer_recorder sink;
    ask(sink, by, fresh);
    runtime.say_whole("{}", "200 OK", fields);
    wait_for_end(sink);
    BOOST_TEST((*sink.end == upstream_end::complete));
    BOOST_TEST(sink.body == "{}");
  }
  void exchange() { exchange(pool); }
};

}  // namespace signalbox::http
