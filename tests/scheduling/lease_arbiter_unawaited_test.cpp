// Requests for a lease that nobody waits for.
#include <boost/test/unit_test.hpp>
#include <vector>

#include "tests/scheduling/arbiter_scenes.hpp"
#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(lease_arbiter_unawaited)

BOOST_AUTO_TEST_CASE(what_nobody_waits_for_asks_no_lease_back) {
  auto a = machine({24});
  hold(a, of(1, 24));
  a.demand(2, idle, t0);
  BOOST_CHECK((asked(a.acquire(of(2, 24), t0)) == nobody));
  BOOST_CHECK((asked(a.advance(t0 + 1h)) == nobody));
  BOOST_CHECK((asked(a.demand(2, busy(1, 0, t0 + 1h), t0 + 1h)) == std::vector<holder_id>{1}));
}

BOOST_AUTO_TEST_CASE(nor_when_its_last_ticket_is_gone_before_the_turn_of_the_other_is_over) {
  auto a = machine({24});
  hold(a, of(1, 24), busy(3, 1));
  a.demand(2, busy(1, 0, t0), t0);
  BOOST_CHECK((asked(a.acquire(of(2, 24), t0)) == nobody));
  a.demand(2, idle, t0 + 10s);
  BOOST_CHECK((asked(a.advance(t0 + 1h)) == nobody));
}

BOOST_AUTO_TEST_CASE(it_gets_room_that_is_free) {
  auto a = machine({24});
  auto token = hold(a, of(1, 24));
  a.demand(2, idle, t0);
  a.acquire(of(2, 24), t0);
  BOOST_CHECK_EQUAL(count<lease_grant>(a.release(1, token, t0 + 1s)), 1u);
}

BOOST_AUTO_TEST_CASE(it_stands_behind_those_that_somebody_waits_for) {
  auto a = machine({24});
  auto token = hold(a, of(1, 24), busy(3, 1));
  a.demand(2, idle, t0);
  a.acquire(of(2, 24), t0);
  a.demand(3, working(work_class::batch, {.waiting = 1, .oldest_wait_since = t0 + 5s}), t0 + 5s);
  a.acquire(of(3, 24), t0 + 5s);
  auto grants = all<lease_grant>(a.release(1, token, t0 + 6s));
  BOOST_REQUIRE_EQUAL(grants.size(), 1u);
  BOOST_CHECK_EQUAL(grants[0].holder, 3u);
}

// However long it has been there.
BOOST_AUTO_TEST_CASE(it_holds_back_nobody) {
  auto a = machine({24});
  hold(a, of(1, 12), busy(3, 1));
  a.demand(2, idle, t0);
  a.acquire(of(2, 24), t0);
  BOOST_CHECK_EQUAL(count<lease_grant>(a.acquire(of(3, 12), t0 + 1h)), 1u);
}

BOOST_AUTO_TEST_CASE(a_pinned_holder_is_wanted_without_a_ticket) {
  auto a = machine({24});
  hold(a, of(1, 24));
  a.demand(2, idle, t0);
  BOOST_CHECK((asked(a.acquire(of(2, 24, policy::pinned), t0)) == std::vector<holder_id>{1}));
}

BOOST_AUTO_TEST_CASE(one_that_an_operator_ordered_is_wanted_without_a_ticket) {
  auto a = machine({24});
  hold(a, of(1, 24));
  a.demand(2, idle, t0);
  auto ordered = of(2, 24);
  ordered.is_ordered = true;
  BOOST_CHECK((asked(a.acquire(ordered, t0)) == std::vector<holder_id>{1}));
}

BOOST_AUTO_TEST_CASE(to_an_order_to_switch_everybody_gives_way) {
  for (const auto& work : {idle, busy(3, 1)}) {
    for (const auto p : {policy::on_demand, policy::pinned}) {
      auto a = machine({24});
      hold(a, of(1, 24, p), work);
      a.demand(2, idle, t0);
      auto ordered = of(2, 24);
      ordered.is_ordered = ordered.is_switch = true;
      const auto effects = a.acquire(ordered, t0);
      BOOST_CHECK((asked(effects) == std::vector<holder_id>{1}));
      BOOST_CHECK(all<ask_back>(effects)[0].is_switch);
    }
  }
}

// Who is pinned comes back for requests by the usual rules.
BOOST_AUTO_TEST_CASE(an_order_to_start_takes_nothing_from_who_is_pinned) {
  auto a = machine({24});
  hold(a, of(1, 24, policy::pinned));
  a.demand(2, idle, t0);
  auto ordered = of(2, 24);
  ordered.is_ordered = true;
  BOOST_CHECK((asked(a.acquire(ordered, t0)) == nobody));
}

BOOST_AUTO_TEST_SUITE_END()
