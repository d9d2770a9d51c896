#include "scheduling/login_throttle.hpp"

#include <boost/test/unit_test.hpp>

using namespace std::chrono_literals;
using namespace signalbox;
using namespace signalbox::scheduling;

namespace {

const time_point morning{1h};

throttle_options options(std::uint32_t free_failures, std::size_t remembered = 100) {
  throttle_options made;
  made.free_failures = free_failures;
  made.remembered = remembered;
  return made;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(login_throttling)

BOOST_AUTO_TEST_CASE(waits_double_up_to_the_longest) {
  failure_memory memory(options(3));
  auto now = morning;
  for (int i = 0; i < 3; ++i) {
    BOOST_TEST((memory.wait_of("a", now) == 0s));
    memory.failed("a", now);
  }
  for (const auto wait : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    BOOST_TEST((memory.wait_of("a", now) == wait));
    BOOST_TEST((memory.wait_of("a", now + wait - 1ns) == 1ns));
    now += wait;
    BOOST_TEST((memory.wait_of("a", now) == 0s));
    memory.failed("a", now);
  }
  BOOST_TEST((memory.wait_of("b", now) == 0s));
  for (int i = 0; i < 100; ++i) memory.failed("a", now);
  BOOST_TEST((memory.wait_of("a", now) == 60s));
}

BOOST_AUTO_TEST_CASE(failures_are_forgotten) {
  failure_memory memory(options(1));
  memory.failed("a", morning);
  memory.failed("a", morning);
  BOOST_TEST((memory.wait_of("a", morning) == 2s));
  memory.failed("a", morning + 15min);
  BOOST_TEST((memory.wait_of("a", morning + 15min) == 1s));
  memory.forget("a");
  memory.forget("never heard of");
  BOOST_TEST((memory.wait_of("a", morning + 15min) == 0s));
  BOOST_TEST(memory.size() == 0u);
}

BOOST_AUTO_TEST_CASE(memory_is_bounded_and_the_oldest_goes) {
  failure_memory memory(options(1, 3));
  for (const auto* name : {"a", "b", "c", "a", "d"}) memory.failed(name, morning);
  BOOST_TEST(memory.size() == 3u);
  BOOST_TEST((memory.wait_of("a", morning) == 2s));
  BOOST_TEST((memory.wait_of("b", morning) == 0s));
  BOOST_TEST((memory.wait_of("d", morning) == 1s));
  for (int i = 0; i < 1000; ++i) memory.failed(std::to_string(i), morning);
  BOOST_TEST(memory.size() == 3u);
}

BOOST_AUTO_TEST_CASE(none_means_none) {
  failure_memory memory(options(0));
  for (int i = 0; i < 100; ++i) memory.failed("a", morning);
  BOOST_TEST((memory.wait_of("a", morning) == 0s));
  BOOST_TEST(memory.size() == 0u);
}

BOOST_AUTO_TEST_CASE(accounts_and_addresses_both_count) {
  login_throttle throttle(options(2), options(4));
  throttle.failed("alice", "10.0.0.1", morning);
  throttle.failed("alice", "10.0.0.2", morning);
  BOOST_TEST((throttle.wait_of("alice", "10.0.0.3", morning) == 1s));
  BOOST_TEST((throttle.wait_of("bob", "10.0.0.1", morning) == 0s));
  throttle.succeeded("alice");
  BOOST_TEST((throttle.wait_of("alice", "10.0.0.3", morning) == 0s));
  for (const auto* name : {"a", "b", "c"}) throttle.failed(name, "10.0.0.1", morning);
  BOOST_TEST((throttle.wait_of("somebody", "10.0.0.1", morning) == 1s));
  throttle.succeeded("alice");
  BOOST_TEST((throttle.wait_of("alice", "10.0.0.1", morning) == 1s));
}

BOOST_AUTO_TEST_SUITE_END()
