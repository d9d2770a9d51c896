// The external driver: somebody else's server, watched and left alone.
#include <boost/asio/ip/tcp.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/runtimes/support.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using namespace signalbox::runtimes::testing;
using namespace std::chrono_literals;
using scheduling::exit_reason;

namespace {

const std::string programs = SIGNALBOX_BINARY_DIR;

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

  explicit outside_server(std::uint16_t port) {
    config::model_options model = sim_model(programs);
    model.command[2] = std::to_string(port);
    model.health_path = "/health";
    handle = driver->start(model, request_of(1), events.callback());
    events.wait_for<runtime_spawned>();
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(up_down_up) {
  const auto port = unused_port();
  const auto driver = make_driver(programs);
  event_log first;
  const auto run = driver->start(external_model(port), request_of(1), first.callback());
  {
    const outside_server server(port);  // comes after the driver began to look for it
    BOOST_TEST(first.wait_for<runtime_ready>().port == port);
  }
  const auto exited = first.wait_for<runtime_exited>();
  BOOST_TEST((exited.reason == exit_reason::crashed));
  BOOST_TEST(exited.detail == "endpoint went away");
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
  const auto run =
      driver->start(external_model(unused_port()), request_of(1, 200ms), events.callback());
  events.wait_for<runtime_released>();
  BOOST_TEST((std::chrono::steady_clock::now() - started >= 200ms));
  BOOST_TEST((events.wait_for<runtime_exited>().reason == exit_reason::start_timeout));
  BOOST_TEST(events.order() == "exited released");
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
