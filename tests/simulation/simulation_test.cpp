// The cores and the gates in hostile worlds. `signalbox-simulate --seed N` repeats one of them, and
// runs longer.
#include <boost/test/unit_test.hpp>
#include <chrono>

#include "tests/simulation/run.hpp"

using namespace signalbox::simulation;

namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t steps = 2000000;  // it takes ten times as long
#else
constexpr std::uint64_t steps = 20000000;
#endif

totals run_worlds(std::uint64_t seed) {
  totals sum;
  BOOST_TEST_MESSAGE("seed " << seed);
  for (; sum.steps < steps; ++seed) {
    try {
      sum.add(run_world(seed));
    } catch (const broken_rule& e) {
      BOOST_FAIL(e.what());
    }
  }
  BOOST_TEST_MESSAGE(sum.steps << " steps to seed " << seed - 1);
  return sum;
}

}  // namespace

BOOST_AUTO_TEST_CASE(rules_hold_in_hostile_worlds) {
  const auto sum = run_worlds(1);
  // Worlds in which nothing happens prove nothing.
  BOOST_TEST(sum.granted > steps / 1000);
  BOOST_TEST(sum.by_credit > steps / 1000);
  BOOST_TEST(sum.refused > steps / 1000);
  BOOST_TEST(sum.preempted > steps / 10000);
  BOOST_TEST(sum.loads > steps / 10000);
  BOOST_TEST(sum.hangs > steps / 2000000);
  BOOST_TEST(sum.swaps > steps / 10000);
  BOOST_TEST(sum.deaths > steps / 10000);
}

BOOST_AUTO_TEST_CASE(rules_hold_in_worlds_of_today) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto today = std::chrono::floor<std::chrono::days>(now).count();
  run_worlds(1000000 * static_cast<std::uint64_t>(today));
}
