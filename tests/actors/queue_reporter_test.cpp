#include "actors/queue_reporter.hpp"

#include <boost/test/unit_test.hpp>

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(queue_reporter_tests)
namespace {

using namespace std::chrono_literals;

constexpr auto gap = queue_reporter::gap;

struct fixture {
  // The queue's figures on the board.
  queue_figures written() const {
    const auto model = board.snapshot()->models.at("red");
    return {model.waiting, model.in_use, model.units};
  }
  std::uint64_t changes() const { return board.snapshot()->number; }

  const time_point start{1h};
  status_board board;
  queue_reporter reporter{board, "red"};
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(figures_are_written_once_in_a_gap_and_the_last_ones_in_the_end, fixture) {
  BOOST_TEST((reporter.report({0, 0, 4}, start) == never));
  for (std::uint32_t i = 1; i <= 1000; ++i) {
    BOOST_TEST((reporter.report({0, i, 4}, start + 1ms) == start + gap));
  }
  BOOST_TEST(changes() == 1u);
  BOOST_TEST((reporter.report({0, 3, 4}, start + gap) == never));
  BOOST_TEST((written() == queue_figures{0, 3, 4}));
  BOOST_TEST(changes() == 2u);
}

BOOST_FIXTURE_TEST_CASE(that_somebody_waits_or_nobody_any_more_is_written_at_once, fixture) {
  reporter.report({0, 0, 4}, start);
  BOOST_TEST((reporter.report({1, 4, 4}, start + 1ms) == never));
  BOOST_TEST((written() == queue_figures{1, 4, 4}));
  const auto later = start + 1ms + gap;
  BOOST_TEST((reporter.report({2, 4, 4}, later) == never));
  BOOST_TEST((reporter.report({0, 4, 4}, later + 1ms) == never));
  BOOST_TEST((written() == queue_figures{0, 4, 4}));
}

BOOST_FIXTURE_TEST_CASE(a_queue_that_flickers_is_written_a_few_times_a_second, fixture) {
  reporter.report({0, 0, 4}, start);
  for (int ms = 0; ms < 1000; ++ms) {
    reporter.report({ms % 2u, 4, 4}, start + std::chrono::milliseconds(ms));
  }
  BOOST_TEST(changes() <= 1 + 2 * (1s / gap));
  BOOST_TEST((reporter.report({0, 0, 4}, start + 2s) == never));
  BOOST_TEST((written() == queue_figures{0, 0, 4}));
}

BOOST_FIXTURE_TEST_CASE(what_is_written_asks_for_nothing, fixture) {
  reporter.report({0, 2, 4}, start);
  BOOST_TEST((reporter.report({0, 3, 4}, start + 1ms) == start + gap));
  BOOST_TEST((reporter.report({0, 2, 4}, start + 2ms) == never));  // back again
  BOOST_TEST(changes() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
