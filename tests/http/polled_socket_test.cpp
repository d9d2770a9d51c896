#include "http/serve/polled_socket.hpp"

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace signalbox::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

struct stoppable_loop : asio::io_context {
  using asio::execution_context::shutdown;
};

// A polled socket and its peer, which is a plain blocking one of another io_context.
struct polled_pair {
  std::unique_ptr<asio::io_context> other = std::make_unique<asio::io_context>();
  tcp::socket peer{*other};
  std::unique_ptr<polled_socket> ours;

  explicit polled_pair(asio::io_context& io) : ours(std::make_unique<polled_socket>(io)) {
    tcp::acceptor acceptor(*other, {asio::ip::address_v4::loopback(), 0});
    peer.connect(acceptor.local_endpoint());
    acceptor.accept(ours->lowest_layer());
  }
};

struct socket_read {
  io_error error;
  std::string bytes;
};

struct socket_fixture {
  stoppable_loop io;
  polled_pair one{io};
  std::array<char, 64> buffer{};
  std::optional<socket_read> got;

  void read() {
    got.reset();
    one.ours->async_read_some(asio::buffer(buffer), [this](const io_error& error, std::size_t n) {
      got = socket_read{error, std::string(buffer.data(), n)};
    });
    BOOST_TEST(!got);  // never from within
  }
  // Runs the loop until `done`, which a broken socket never is.
  void run_until(const std::function<bool()>& done) {
    io.restart();
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      BOOST_REQUIRE(std::chrono::steady_clock::now() < deadline);
      io.run_one_for(100ms);
    }
  }
  std::string next() {
    run_until([this] { return got.has_value(); });
    BOOST_TEST(!got->error);
    return got->bytes;
  }
  void check(std::chrono::steady_clock::time_point now) {
    asio::use_service<socket_poller>(io).check_deadlines(now);
  }
  void send(const std::string& text) { asio::write(one.peer, asio::buffer(text)); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(polled_sockets, socket_fixture)

BOOST_AUTO_TEST_CASE(reads_what_was_there_and_what_comes_later) {
  send("early");
  read();
  BOOST_TEST(next() == "early");
  for (int i = 0; i < 3; ++i) {
    read();
    io.poll();
    BOOST_TEST(!got);  // waits
    send("later");
    BOOST_TEST(next() == "later");
  }
}

BOOST_AUTO_TEST_CASE(a_read_that_filled_its_buffer_is_followed_by_the_rest) {
  const std::string text(buffer.size() * 2 + 1, 'x');
  send(text);
  std::string all;
  while (all.size() < text.size()) {
    read();
    all += next();
  }
  BOOST_TEST(all == text);
}

BOOST_AUTO_TEST_CASE(the_end_that_came_with_the_last_bytes_is_seen) {
  // One event tells of both, before and after something waits for it.
  for (const bool waiting : {false, true}) {
    polled_pair other(io);
    std::swap(one, other);
    if (waiting) read();
    send("bye");
    one.peer.close();
    if (!waiting) read();
    BOOST_TEST(next() == "bye");
    read();
    run_until([this] { return got.has_value(); });
    BOOST_TEST((got->error == asio::error::eof));
  }
}

BOOST_AUTO_TEST_CASE(a_reset_is_an_error) {
  read();
  one.peer.set_option(asio::socket_base::linger(true, 0));
  one.peer.close();
  run_until([this] { return got.has_value(); });
  BOOST_TEST((got->error == asio::error::connection_reset));
}

BOOST_AUTO_TEST_CASE(a_write_waits_for_room) {
  const std::string text(32 * 1024 * 1024, 'x');  // more than two sockets hold
  std::optional<std::size_t> written;
  asio::async_write(*one.ours, asio::buffer(text), [&](const io_error& error, std::size_t n) {
    BOOST_TEST(!error);
    written = n;
  });
  io.poll();
  BOOST_TEST(!written);
  std::string received(text.size(), '\0');
  std::size_t size = 0;
  one.peer.non_blocking(true);
  run_until([&] {
    io_error empty;
    size += one.peer.read_some(asio::buffer(received) + size, empty);
    return written.has_value() && size == text.size();
  });
  BOOST_TEST(*written == text.size());
  BOOST_TEST((received == text));
}

BOOST_AUTO_TEST_CASE(what_waits_is_cancelled_and_nothing_else) {
  read();
  io_error error;
  one.ours->cancel(error);
  BOOST_TEST(!got);
  run_until([this] { return got.has_value(); });
  BOOST_TEST((got->error == asio::error::operation_aborted));
  send("still open");
  read();
  BOOST_TEST(next() == "still open");
  read();
  one.ours->close();
  BOOST_TEST(!one.ours->is_open());
  run_until([this] { return got.has_value(); });
  BOOST_TEST((got->error == asio::error::operation_aborted));
}

// Both have an event in one turn; whoever is first closes the other, which then hears of its close
// only.
BOOST_AUTO_TEST_CASE(a_handler_may_destroy_a_socket_whose_event_is_next) {
  polled_pair two(io);
  std::vector<std::string> heard;
  std::array<char, 8> second{};
  one.ours->async_read_some(asio::buffer(buffer), [&](const io_error& error, std::size_t) {
    heard.push_back(error.message());
    if (!error) two.ours.reset();
  });
  two.ours->async_read_some(asio::buffer(second), [&](const io_error& error, std::size_t) {
    heard.push_back(error.message());
    if (!error) one.ours.reset();
  });
  io.poll();
  send("1");
  asio::write(two.peer, asio::buffer("2", 1));
  run_until([&] { return heard.size() == 2; });
  const io_error aborted = asio::error::operation_aborted;
  BOOST_TEST(heard == (std::vector<std::string>{io_error{}.message(), aborted.message()}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_handler_that_throws_costs_the_others_nothing) {
  polled_pair two(io);
  std::array<char, 8> second{};
  two.ours->async_read_some(asio::buffer(second), [&](const io_error&, std::size_t) {
    throw std::runtime_error("for the test");
  });
  read();
  io.poll();
  asio::write(two.peer, asio::buffer("2", 1));
  send("1");
  BOOST_TEST(next() == "1");
  read();
  send("again");
  BOOST_TEST(next() == "again");
}

// A handler keeps the socket alive that it waits for, as in the connections of RESTinio.
BOOST_AUTO_TEST_CASE(the_end_of_the_loop_drops_what_waits) {
  auto owned = std::make_shared<polled_pair>(io);
  const std::weak_ptr<polled_pair> watch = owned;
  owned->ours->async_read_some(asio::buffer(buffer),
                               [owned](const io_error&, std::size_t) { BOOST_ERROR("called"); });
  owned.reset();
  io.poll();
  BOOST_TEST(!watch.expired());
  io.shutdown();
  BOOST_TEST(watch.expired());
}

// Asio's TLS has its results posted by it, whatever else waits.
BOOST_AUTO_TEST_CASE(a_read_of_nothing_takes_nothing_from_another) {
  std::optional<io_error> nothing;
  read();
  one.ours->async_read_some(asio::mutable_buffer(),
                            [&](const io_error& error, std::size_t) { nothing = error; });
  BOOST_TEST(!nothing);
  run_until([&] { return nothing.has_value(); });
  BOOST_TEST(!*nothing);
  BOOST_TEST(!got);
  send("for the other");
  BOOST_TEST(next() == "for the other");
}

BOOST_AUTO_TEST_CASE(a_closed_socket_fails_and_does_not_wait) {
  one.ours->close();
  read();
  run_until([this] { return got.has_value(); });
  BOOST_TEST((got->error == asio::error::bad_descriptor));
}

BOOST_AUTO_TEST_CASE(a_read_is_late_after_its_time) {
  const auto now = std::chrono::steady_clock::now();
  read();
  check(now + 1h);
  BOOST_TEST(!got);  // it may wait for ever
  one.ours->polled().read_by(now + 10s);
  check(now + 9s);
  BOOST_TEST(!got);
  check(now + 10s);
  BOOST_REQUIRE(got);
  BOOST_TEST((got->error == asio::error::timed_out));
}

BOOST_AUTO_TEST_CASE(a_read_is_late_when_nothing_comes_or_too_little) {
  const auto now = std::chrono::steady_clock::now();
  const auto begin = [&] { one.ours->polled().expect_pace({now, 10s, 2}); };
  const auto hear = [&](std::chrono::seconds at) {
    send("xx");
    BOOST_TEST(next() == "xx");
    check(now + at);
    read();
  };
  begin();
  read();
  check(now + 9s);
  BOOST_TEST(!got);
  hear(9s);
  hear(18s);  // 4 bytes: 12 seconds are earned, after the 10
  check(now + 11s);
  BOOST_TEST(!got);
  check(now + 12s);  // no longer
  BOOST_REQUIRE(got);
  BOOST_TEST((got->error == asio::error::timed_out));
}

BOOST_AUTO_TEST_CASE(a_write_is_late_when_the_peer_takes_nothing) {
  const std::string text(32 * 1024 * 1024, 'x');
  std::optional<io_error> written;
  one.ours->polled().set_write_timeout(10s);
  asio::async_write(*one.ours, asio::buffer(text),
                    [&](const io_error& error, std::size_t) { written = error; });
  io.poll();
  const auto now = std::chrono::steady_clock::now();
  check(now + 9s);
  BOOST_TEST(!written);
  check(now + 11s);
  BOOST_REQUIRE(written);
  BOOST_TEST((*written == asio::error::timed_out));
}

BOOST_AUTO_TEST_CASE(the_end_of_the_peer_is_told_and_then_its_reset) {
  std::vector<bool> told;
  one.ours->polled().on_peer_end([&](bool is_broken) { told.push_back(is_broken); });
  one.peer.shutdown(tcp::socket::shutdown_send);
  run_until([&] { return told.size() == 1; });
  one.peer.set_option(asio::socket_base::linger(true, 0));
  one.peer.close();
  run_until([&] { return told.size() == 2; });
  BOOST_TEST(told == (std::vector<bool>{false, true}), boost::test_tools::per_element());
}

// Closed at once, the peer would get a reset, and perhaps not the answer.
BOOST_AUTO_TEST_CASE(a_lingering_socket_lets_the_peer_read_and_drops_what_it_sends) {
  send(std::string(100'000, 'x'));
  io_error error;
  one.ours->write_some(asio::buffer("answer", 6), error);
  one.ours->linger();
  BOOST_TEST(!one.ours->is_open());
  std::string heard(16, '\0');
  BOOST_TEST(asio::read(one.peer, asio::buffer(heard), error) == 6u);
  BOOST_TEST((error == asio::error::eof));
  send("more");
  io.poll();
  BOOST_TEST(asio::write(one.peer, asio::buffer("more", 4), error) == 4u);
  BOOST_TEST(!error);  // no reset
  check(std::chrono::steady_clock::now() + 3s);
  io.poll();
  run_until([&] {
    asio::write(one.peer, asio::buffer("x", 1), error);
    return static_cast<bool>(error);
  });
}

BOOST_AUTO_TEST_CASE(a_place_is_held_while_a_socket_lingers) {
  connection_places places(1);
  polled_pair other(io);
  polled_socket lingering(io, unique_fd(::dup(other.ours->polled().descriptor())), places.take());
  BOOST_TEST(!places.take());
  lingering.linger();
  BOOST_TEST(!places.take());
  check(std::chrono::steady_clock::now() + 3s);
  BOOST_TEST(static_cast<bool>(places.take()));
}

BOOST_FIXTURE_TEST_CASE(a_task_runs_after_all_that_the_turn_brought, socket_fixture) {
  auto& poller = asio::use_service<socket_poller>(io);
  polled_pair two(io);
  std::string order;
  const auto on_read = [&](char name) {
    return [&, name](const io_error&, std::size_t) {
      order += name;
      if (order.size() == 1) poller.at_turn_end([&] { order += 'e'; });
    };
  };
  std::array<char, 4> other{};
  one.ours->async_read_some(asio::buffer(buffer), on_read('1'));
  two.ours->async_read_some(asio::buffer(other), on_read('2'));
  send("x");
  asio::write(two.peer, asio::buffer("y", 1));
  run_until([&] { return order.size() == 3; });
  BOOST_TEST(order.back() == 'e');
}

BOOST_FIXTURE_TEST_CASE(a_task_that_fails_takes_no_other_along, socket_fixture) {
  auto& poller = asio::use_service<socket_poller>(io);
  bool has_run = false;
  poller.at_turn_end([] { throw std::runtime_error("on purpose"); });
  poller.at_turn_end([&] { has_run = true; });
  BOOST_TEST(!has_run);  // never from within
  run_until([&] { return has_run; });
}

BOOST_FIXTURE_TEST_CASE(what_never_ends_leaves_others_their_turn, socket_fixture) {
  auto& poller = asio::use_service<socket_poller>(io);
  int rounds = 0;
  bool others_ran = false;
  std::function<void()> again = [&] {
    ++rounds;
    if (!others_ran) poller.at_turn_end(again);
  };
  poller.at_turn_end(again);
  asio::post(io, [&] { others_ran = true; });
  run_until([&] { return others_ran; });
  run_until([&] { return rounds > 1; });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
