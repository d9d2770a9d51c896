// The external driver: somebody else's server, watched and left alone.
#include <signal.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/test/unit_test.hpp>

#include <optional>

#include "runtimes/http_probe.hpp"
#include "tests/runtimes/support.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using namespace signalbox::runtimes::testing;
using namespace std::chrono_literals;
using scheduling::exit_reason;

namespace {

config::model_options external_model(std::uint16_t port) {
  config::model_options model;
  model.name = "outside";
  model.driver = config::driver_kind::external;
  model.endpoint = "http://localhost:" + std::to_string(port);
  return model;
}

std::uint16_t unused_port() {
  boost::asio::io_context io;
  boost::asio::ip::tcp::acceptor acceptor(io, {boost::asio::ip::address_v4::loopback(), 0});
  return acceptor.local_endpoint().port();
}

// A server that is nobody's runtime: on a port of our choice, started by a driver for convenience.
struct outside_server {
  std::unique_ptr<runtime_driver> driver = make_driver(programs);
  event_log events;
  std::unique_ptr<runtime_handle> handle;

  explicit outside_server(std::uint16_t port, const std::string& address = "127.0.0.1") {
    config::model_options model = sim_model(programs, {"--host", address});
    model.command[2] = std::to_string(port);
    model.health_path = "/health";
    handle = driver->start(model, request_of(1), events.callback());
    events.wait_for<runtime_spawned>();
  }
};

// Listens, and has room for nobody: who connects gets no answer, as from a machine that vanished.
class unreachable_server {
 public:
  unreachable_server() : acceptor_(io_), filler_(io_) {
    const boost::asio::ip::tcp::endpoint any(boost::asio::ip::address_v4::loopback(), 0);
    acceptor_.open(any.protocol());
    acceptor_.bind(any);
    acceptor_.listen(0);
    filler_.connect(acceptor_.local_endpoint());
  }

  std::uint16_t port() { return acceptor_.local_endpoint().port(); }

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::ip::tcp::socket filler_;
};

probe_result probe_once(const probe_target& target, duration timeout) {
  boost::asio::io_context io;
  name_finder names(io);
  std::optional<probe_result> result;
  probe_http(
      io, target, timeout, [&](const probe_result& r) { result = r; }, names.lookup());
  io.run();
  return result.value();
}

bool has_ipv6() {
  boost::asio::io_context io;
  boost::system::error_code error;
  boost::asio::ip::tcp::acceptor acceptor(io);
  acceptor.open(boost::asio::ip::tcp::v6(), error);
  if (!error) acceptor.bind({boost::asio::ip::address_v6::loopback(), 0}, error);
  return !error;
}

}  // namespace

BOOST_AUTO_TEST_CASE(up_down_up) {
  const auto port = unused_port();
  const auto driver = make_driver(programs);
  event_log first;
  const auto run = driver->start(external_model(port), request_of(1), first.callback());
  {
    const outside_server server(port);  // comes after the driver began to look for it
    const auto ready = first.wait_for<runtime_ready>();
    BOOST_TEST(ready.port == port);
    BOOST_TEST(ready.host == "localhost");
    BOOST_TEST(ready.address == "127.0.0.1");
  }
  const auto exited = first.wait_for<runtime_exited>();
  BOOST_TEST((exited.reason == exit_reason::crashed));
  BOOST_TEST(exited.detail == "endpoint went away: Connection refused");
  first.wait_for<runtime_released>();
  BOOST_TEST(first.order() == "ready exited released");

  outside_server server(port);
  event_log second;
  const auto again = driver->start(external_model(port), request_of(2), second.callback());
  BOOST_TEST(second.wait_for<runtime_ready>().incarnation == 2u);
  again->stop(0ms);
  second.wait_for<runtime_released>();
  BOOST_TEST((second.wait_for<runtime_exited>().reason == exit_reason::asked));
  BOOST_TEST(send_once(port, {.target = "/health"}).status() == 200u);  // left alone
}

BOOST_AUTO_TEST_CASE(nobody_there) {
  const auto driver = make_driver(programs);
  event_log events;
  const auto started = std::chrono::steady_clock::now();
  const auto port = unused_port();
  const auto run = driver->start(external_model(port), request_of(1, 200ms), events.callback());
  events.wait_for<runtime_released>();
  BOOST_TEST((std::chrono::steady_clock::now() - started >= 200ms));
  const auto exited = events.wait_for<runtime_exited>();
  BOOST_TEST((exited.reason == exit_reason::start_timeout));
  BOOST_TEST(exited.detail == "not ready in 0.2 s: nothing answered GET http://localhost:" +
                                  std::to_string(port) + "/health (Connection refused)");
  BOOST_TEST(events.order() == "exited released");
}

BOOST_AUTO_TEST_CASE(that_nobody_is_there_is_told_after_a_second_and_once) {
  const auto driver = make_driver(programs);
  event_log events;
  const auto started = std::chrono::steady_clock::now();
  const auto run =
      driver->start(external_model(unused_port()), request_of(1, 1500ms), events.callback());
  BOOST_TEST(!events.wait_for<runtime_checked>().is_healthy);
  BOOST_TEST((std::chrono::steady_clock::now() - started >= 1s));
  events.wait_for<runtime_released>();
  BOOST_TEST(events.order() == "checked exited released");
}

// Its next look would be two seconds away, and three looks must fail.
BOOST_AUTO_TEST_CASE(a_check_finds_at_once_that_it_went_away) {
  const auto port = unused_port();
  const auto driver = make_driver(programs);
  event_log events;
  std::unique_ptr<runtime_handle> run;
  {
    const outside_server server(port);
    run = driver->start(external_model(port), request_of(1), events.callback());
    events.wait_for<runtime_ready>();
    run->check();
    BOOST_TEST(events.wait_for<runtime_checked>().is_healthy);
  }
  const auto gone_at = std::chrono::steady_clock::now();
  run->check();
  BOOST_TEST(!events.wait_for_next<runtime_checked>(1).is_healthy);
  events.wait_for<runtime_exited>();
  BOOST_TEST((std::chrono::steady_clock::now() - gone_at < 1500ms));
}

BOOST_AUTO_TEST_CASE(one_that_answers_no_check_is_told_and_left_alone) {
  const auto port = unused_port();
  outside_server server(port);
  const auto driver = make_driver(programs);
  event_log events;
  const auto run = driver->start(external_model(port), request_of(1), events.callback());
  events.wait_for<runtime_ready>();
  const auto pid = static_cast<pid_t>(server.events.wait_for<runtime_spawned>().pid);
  kill(pid, SIGSTOP);
  run->check();
  const auto checked = events.wait_for<runtime_checked>();
  BOOST_TEST(!checked.is_healthy);
  BOOST_TEST(checked.detail.ends_with("/health was not answered in 5 s"));
  kill(pid, SIGCONT);
  run->check();
  BOOST_TEST(events.wait_for_next<runtime_checked>(1).is_healthy);
  BOOST_TEST(events.order() == "ready checked checked");
}

BOOST_AUTO_TEST_CASE(a_server_that_accepts_and_says_nothing_is_not_ready) {
  boost::asio::io_context io;
  boost::asio::ip::tcp::acceptor silent(io, {boost::asio::ip::address_v4::loopback(), 0});
  const auto driver = make_driver(programs);
  event_log events;
  const auto run = driver->start(external_model(silent.local_endpoint().port()),
                                 request_of(1, 200ms), events.callback());
  BOOST_TEST((events.wait_for<runtime_exited>().reason == exit_reason::start_timeout));
}

BOOST_AUTO_TEST_CASE(an_endpoint_that_is_none) {
  const auto driver = make_driver(programs);
  auto model = external_model(1);
  model.endpoint = "ftp://nowhere";
  event_log events;
  const auto run = driver->start(model, request_of(1), events.callback());
  events.wait_for<runtime_released>();
  BOOST_TEST((events.wait_for<runtime_exited>().reason == exit_reason::start_failed));
}

BOOST_AUTO_TEST_CASE(a_machine_that_vanished_is_not_a_slow_one) {
  unreachable_server vanished;
  const auto result = probe_once({.host = "127.0.0.1", .port = vanished.port(), .path = "/"}, 50ms);
  BOOST_TEST((result.outcome == probe_outcome::failed));
  BOOST_TEST(result.address == "");

  boost::asio::io_context io;
  boost::asio::ip::tcp::acceptor slow(io, {boost::asio::ip::address_v4::loopback(), 0});
  const auto port = slow.local_endpoint().port();
  const auto busy = probe_once({.host = "localhost", .port = port, .path = "/"}, 50ms);
  BOOST_TEST((busy.outcome == probe_outcome::timed_out));
  BOOST_TEST(busy.address == "127.0.0.1");
}

BOOST_AUTO_TEST_CASE(a_probe_goes_to_the_address_it_is_given) {
  const auto port = unused_port();
  const outside_server server(port);
  const probe_target target{
      .host = "name.invalid", .port = port, .path = "/health", .address = "127.0.0.1"};
  probe_result result;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  do {
    result = probe_once(target, 1s);
  } while (result.outcome != probe_outcome::ok && std::chrono::steady_clock::now() < deadline);
  BOOST_TEST((result.outcome == probe_outcome::ok));
}

BOOST_AUTO_TEST_CASE(an_ipv6_host_is_named_in_brackets) {
  if (!has_ipv6()) {
    BOOST_TEST_MESSAGE("no IPv6 here");
    return;
  }
  const auto port = unused_port();
  const outside_server server(port, "::1");
  const auto driver = make_driver(programs);
  auto model = external_model(port);
  model.endpoint = "http://[::1]:" + std::to_string(port);
  event_log events;
  const auto run = driver->start(model, request_of(1), events.callback());
  const auto ready = events.wait_for<runtime_ready>();
  BOOST_TEST(ready.host == "[::1]");
  BOOST_TEST(ready.address == "::1");
}
