// When a runtime is given up, and above all when it is not.
#include "scheduling/runtime_watch.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

namespace signalbox::scheduling::test {
BOOST_AUTO_TEST_SUITE(runtime_watch_tests)
namespace {

using namespace std::chrono_literals;

constexpr time_point start{1h};

// One letter an event, a second after the one before: d, a deadline; b, bytes; r, a refused
// connection; x, a check that failed; o, a check that succeeded.
struct outcome {
  bool is_hung, is_lost, is_refused, is_checked;
};

outcome after(const std::string& events) {
  runtime_watch watch;
  auto now = start;
  for (const char event : events) {
    now += 1s;
    if (event == 'd') watch.note({.run = 1, .deadlines = 1}, now);
    if (event == 'b') watch.note({.run = 1, .heard = true}, now);
    if (event == 'r') watch.note({.run = 1, .refused = true}, now);
    if (event == 'x' || event == 'o') watch.checked(event == 'o', now);
  }
  return {watch.is_hung(now, {}), watch.is_lost(now), watch.is_refused(),
          watch.next_check() != never};
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_gives_no_sign_of_life_hangs) {
  for (const std::string events : {"ddxxx", "dxdxxx", "dxxxxxxdxxx", "ddxdxdx", "bddxxx",
                                   "dodxdxxx", "ddxxbddxxx", "ddxxoddxxx", "ddxrxx"}) {
    BOOST_TEST_CONTEXT(events) {
      BOOST_TEST(after(events).is_hung);
      BOOST_TEST(after(events).is_checked);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_gives_one_does_not) {
  for (const std::string events :
       {"", "d", "dxxxxxx", "dd", "ddxx", "ddxxbx", "ddxxox", "dbdxxx", "dodxxx", "ddxbdxxx",
        "bbbb", "dxbdxxxx", "xxxx", "rxxx", "ddoxxx"}) {
    BOOST_TEST_CONTEXT(events) BOOST_TEST(!after(events).is_hung);
  }
}

// A check may have begun before the last deadline, and bytes of another shard may be on their way.
BOOST_AUTO_TEST_CASE(checks_before_the_last_deadline_that_counts_prove_nothing) {
  BOOST_TEST(!after("dxxxxxxxxxxd").is_hung);
  BOOST_TEST(!after("dxxxxxxxxxxdxx").is_hung);
  BOOST_TEST(after("ddxxdx").is_hung);  // later ones do not begin it anew
}

BOOST_AUTO_TEST_CASE(a_refused_connection_holds_requests_back_until_a_check_succeeds) {
  for (const std::string events : {"r", "rx", "rb", "rxd", "rxxxxx", "orx"}) {
    BOOST_TEST_CONTEXT(events) {
      BOOST_TEST(after(events).is_refused);
      BOOST_TEST(after(events).is_checked);
      BOOST_TEST(!after(events).is_lost);
    }
  }
  for (const std::string events : {"", "ro", "rxxo", "b", "d"}) {
    BOOST_TEST_CONTEXT(events) BOOST_TEST(!after(events).is_refused);
  }
}

BOOST_AUTO_TEST_CASE(refused_for_long_is_lost_unless_bytes_come) {
  BOOST_TEST(!after("r" + std::string(9, 'x')).is_lost);
  BOOST_TEST(after("r" + std::string(10, 'x')).is_lost);
  BOOST_TEST(!after("rxxxxxb" + std::string(9, 'x')).is_lost);
  BOOST_TEST(after("rxxxxxb" + std::string(10, 'x')).is_lost);
  BOOST_TEST(!after("rxxxxxo" + std::string(20, 'x')).is_lost);
  BOOST_TEST(!after("r" + std::string(20, 'd')).is_lost);  // nothing was checked
}

BOOST_AUTO_TEST_CASE(only_what_is_suspected_is_checked) {
  for (const std::string events : {"", "b", "do", "db", "ro", "xxx"}) {
    BOOST_TEST_CONTEXT(events) BOOST_TEST(!after(events).is_checked);
  }
}

BOOST_AUTO_TEST_CASE(a_runtime_may_be_silent_for_as_long_as_a_request_may_wait) {
  runtime_watch watch;
  auto now = time_point(std::chrono::hours(1));
  runtime_signs heard, deadlines;
  heard.heard = true;
  deadlines.deadlines = runtime_watch::deadlines_to_hang;
  watch.note(heard, now);
  now += 7s;
  watch.note(deadlines, now);
  for (std::uint32_t i = 0; i < runtime_watch::checks_to_hang; ++i) watch.checked(false, now);
  BOOST_TEST(watch.is_hung(now, 7s));
  BOOST_TEST(!watch.is_hung(now, 8s));
  BOOST_TEST(watch.is_hung(now + 1s, 8s));
}

BOOST_AUTO_TEST_CASE(one_check_at_a_time_and_one_that_was_lost_is_made_again) {
  runtime_watch watch;
  BOOST_TEST(!watch.begin_check(start));
  watch.note({.run = 1, .deadlines = 1}, start);
  BOOST_TEST(watch.begin_check(start));
  BOOST_TEST(!watch.begin_check(start + 1s));
  watch.note({.run = 1, .deadlines = 1}, start + 1s);
  BOOST_TEST(!watch.begin_check(start + 1s));
  watch.checked(false, start + 2s);
  BOOST_TEST((watch.next_check() == start + 2s + runtime_watch::check_gap));
  BOOST_TEST(watch.begin_check(watch.next_check()));
  BOOST_TEST((watch.next_check() == start + 2500ms + runtime_watch::check_timeout));
  BOOST_TEST(watch.begin_check(watch.next_check()));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::scheduling::test
