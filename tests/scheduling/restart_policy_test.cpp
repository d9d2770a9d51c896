#include "scheduling/restart_policy.hpp"

#include <boost/test/unit_test.hpp>

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(restart_policy_rules)

namespace {
constexpr time_point t0{1h};
duration delay(const restart_decision& d, time_point now) {
  return std::get<restart_at>(d).when - now;
}
}  // namespace

BOOST_AUTO_TEST_CASE(the_delay_doubles_up_to_its_maximum) {
  restart_policy policy({.budget = 5, .window = 60s, .first_delay = 100ms, .max_delay = 500ms});
  for (auto expected : {100ms, 200ms, 400ms, 500ms, 500ms}) {
    BOOST_CHECK(delay(policy.died(t0), t0) == expected);
  }
}

BOOST_AUTO_TEST_CASE(a_spent_budget_gives_up) {
  restart_policy policy({.budget = 2, .window = 60s});
  policy.died(t0);
  policy.died(t0 + 1s);
  BOOST_CHECK(std::holds_alternative<give_up>(policy.died(t0 + 59s)));
}

BOOST_AUTO_TEST_CASE(deaths_leave_the_window) {
  restart_policy policy({.budget = 2, .window = 60s, .first_delay = 100ms, .max_delay = 10s});
  policy.died(t0);
  policy.died(t0 + 30s);
  BOOST_CHECK(delay(policy.died(t0 + 60s), t0 + 60s) == 200ms);
  BOOST_CHECK(delay(policy.died(t0 + 200s), t0 + 200s) == 100ms);
}

BOOST_AUTO_TEST_CASE(no_budget_is_no_restart) {
  restart_policy policy({.budget = 0});
  BOOST_CHECK(std::holds_alternative<give_up>(policy.died(t0)));
}

BOOST_AUTO_TEST_SUITE_END()
