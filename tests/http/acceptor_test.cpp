#include "http/serve/acceptor.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <deque>
#include <stdexcept>
#include <vector>

namespace signalbox::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

// An acceptor, clients in this process, and what was accepted.
struct acceptor_rig {
  explicit acceptor_rig(std::uint32_t places_count = 100) : places(places_count) {}

  void connect(int count) {
    const tcp::endpoint there(asio::ip::make_address(ours.bound().host), ours.bound().port);
    while (count-- > 0) clients.emplace_back(loop).connect(there);
  }

  // Runs the loop until it is so, at most for 10 s.
  template <typename Condition>
  void until(Condition is_so) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!is_so() && std::chrono::steady_clock::now() < end) loop.run_one_for(10ms);
    BOOST_REQUIRE(is_so());
  }

  asio::io_context loop;
  connection_places places;
  std::deque<accepted_connection> accepted;
  std::size_t most_open = 0;
  int failures = 0, thrown = 0;
  bool throws = false;
  acceptor ours{loop,
                {"127.0.0.1", 0, false},
                places,
                {[this](accepted_connection made) {
                   if (throws) {
                     ++thrown;
                     throw std::runtime_error("gone already");
                   }
                   accepted.push_back(std::move(made));
                   most_open = std::max(most_open, accepted.size());
                 },
                 [this] { ++failures; }}};
  std::vector<tcp::socket> clients;
};

// No further descriptor for this process while it lives.
struct shortage {
  shortage() {
    getrlimit(RLIMIT_NOFILE, &before);
    const unique_fd next(open("/dev/null", O_RDONLY | O_CLOEXEC));
    const rlimit none{static_cast<rlim_t>(next.get()), before.rlim_max};
    BOOST_REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~shortage() { setrlimit(RLIMIT_NOFILE, &before); }
  rlimit before{};
};

config::settings with_models(std::uint32_t connections, std::vector<std::uint32_t> max_concurrent) {
  config::settings s;
  s.server.max_connections = connections;
  for (const auto units : max_concurrent) {
    config::model_options model;
    model.max_concurrent = units;
    s.models.push_back(model);
  }
  return s;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(acceptors)

BOOST_AUTO_TEST_CASE(a_connection_comes_with_its_peer_and_is_non_blocking) {
  acceptor_rig r;
  r.connect(1);
  r.until([&] { return r.accepted.size() == 1; });
  BOOST_TEST(r.accepted[0].peer == r.clients[0].local_endpoint());
  BOOST_TEST((fcntl(r.accepted[0].descriptor.get(), F_GETFL) & O_NONBLOCK) != 0);
  BOOST_TEST((fcntl(r.accepted[0].descriptor.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

BOOST_AUTO_TEST_CASE(without_descriptors_it_waits_and_goes_on) {
  acceptor_rig r;
  r.connect(40);
  {
    const shortage none_left;
    r.until([&] { return r.failures == 2; });  // it tried again
    BOOST_TEST(r.accepted.empty());
  }
  r.until([&] { return r.accepted.size() == 40; });
}

BOOST_AUTO_TEST_CASE(as_many_are_open_as_there_are_places) {
  acceptor_rig r(3);
  r.connect(5);
  r.until([&] { return r.accepted.size() == 3; });
  r.accepted.pop_front();
  r.until([&] { return r.accepted.size() == 3; });
  r.accepted.clear();
  r.until([&] { return r.accepted.size() == 1; });
  BOOST_TEST(r.most_open == 3u);
  BOOST_TEST(r.failures == 0);
}

BOOST_AUTO_TEST_CASE(the_number_of_places_changes_while_they_are_taken) {
  acceptor_rig r(3);
  r.connect(6);
  r.until([&] { return r.accepted.size() == 3; });
  r.places.set_count(1);
  r.accepted.pop_front();
  r.accepted.pop_front();
  BOOST_TEST(!r.places.take());  // one is still open
  r.accepted.clear();
  r.until([&] { return r.accepted.size() == 1; });
  BOOST_TEST(!r.places.take());
  r.places.set_count(2);
  r.until([&] { return r.accepted.size() == 2; });
}

BOOST_AUTO_TEST_CASE(a_connection_that_fails_takes_no_other_along) {
  acceptor_rig r(1);
  r.throws = true;
  r.connect(3);
  r.until([&] { return r.thrown == 3; });
  r.throws = false;
  r.connect(1);
  r.until([&] { return r.accepted.size() == 1; });
}

BOOST_AUTO_TEST_CASE(no_connection_comes_after_a_stop) {
  acceptor_rig r;
  r.ours.stop();
  r.loop.run();  // nothing is left to wait for
  BOOST_CHECK_THROW(r.connect(1), boost::system::system_error);
}

BOOST_AUTO_TEST_CASE(a_place_goes_to_the_shard_with_the_fewest) {
  connection_places places(100, 3);
  std::vector<connection_place> taken;
  std::vector<int> given;
  const auto give = [&] {
    taken.push_back(places.take());
    return static_cast<int>(places.assign(taken.back()));
  };
  for (int i = 0; i < 6; ++i) given.push_back(give());
  BOOST_TEST(given == (std::vector<int>{1, 2, 0, 1, 2, 0}), boost::test_tools::per_element());
  taken.erase(taken.begin() + 1);  // of shard 2
  BOOST_TEST(give() == 2);
  taken[0].reset();  // of shard 1, as are two more
  taken[2].reset();
  BOOST_TEST(give() == 1);
  BOOST_TEST(give() == 1);
}

BOOST_AUTO_TEST_CASE(clients_leave_descriptors_for_the_rest) {
  const auto few = with_models(20000, {4});
  BOOST_TEST(affordable_connections(few, 2, 1'000'000) == 20000u);
  BOOST_TEST(affordable_connections(few, 2, 1024) == 1024u - (64 + 2 * 16 + 8) - 4);
  // Requests to runtimes can be as many as clients.
  BOOST_TEST(affordable_connections(with_models(20000, {100000}), 1, 1024) == (1024u - 88) / 2);
  BOOST_TEST(affordable_connections(few, 1, 64) == 32u - 4);
  BOOST_TEST(affordable_connections(few, 1, 1) == 1u);
  BOOST_TEST(affordable_connections(with_models(7, {}), 1, 1024) == 7u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
