// Who is asked to give a lease back, and when.
#include "scheduling/lease_arbiter.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

#include "tests/scheduling/arbiter_scenes.hpp"
#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(lease_arbiter_victims)

BOOST_AUTO_TEST_CASE(the_cheapest_victims_are_asked) {
  auto a = machine({24});
  hold(a, of(1, 12), costing(60s, 0.1));
  hold(a, of(2, 12), costing(10s, 0.1));
  auto effects = a.acquire(of(3, 12), t0);
  BOOST_CHECK((asked(effects) == std::vector<holder_id>{2}));
  BOOST_CHECK_EQUAL(all<ask_back>(effects)[0].for_holder, 3u);
  BOOST_CHECK(all<ask_back>(effects)[0].rule == swap_rule::evict);
}

BOOST_AUTO_TEST_CASE(probability_of_need_weighs_the_reload) {
  auto a = machine({24});
  hold(a, of(1, 12), costing(60s, 0.0001));
  hold(a, of(2, 12), costing(10s, 1));
  BOOST_CHECK((asked(a.acquire(of(3, 12), t0)) == std::vector<holder_id>{1}));
}

BOOST_AUTO_TEST_CASE(two_cheap_ones_may_be_cheaper_than_one) {
  auto a = machine({24});
  hold(a, of(1, 12), costing(100s, 1));
  hold(a, of(2, 6), costing(10s, 1));
  hold(a, of(3, 6), costing(10s, 1));
  BOOST_CHECK((asked(a.acquire(of(4, 12), t0)) == std::vector<holder_id>{2, 3}));
}

BOOST_AUTO_TEST_CASE(of_equals_the_least_recently_used_goes) {
  auto a = machine({24});
  hold(a, of(1, 12), last_used(t0));
  hold(a, of(2, 12), last_used(t0 - 10s));
  BOOST_CHECK((asked(a.acquire(of(3, 12), t0)) == std::vector<holder_id>{2}));
}

BOOST_AUTO_TEST_CASE(the_cheapest_gpu_is_emptied) {
  auto a = machine({24, 24});
  hold(a, of(1, 24), costing(60s, 1));
  hold(a, of(2, 24), costing(10s, 1));
  BOOST_CHECK((asked(a.acquire(of(3, 24), t0)) == std::vector<holder_id>{2}));
}

BOOST_AUTO_TEST_CASE(many_candidates_are_chosen_greedily_and_none_in_vain) {
  auto a = machine({20});
  for (holder_id h = 1; h <= 20; ++h) hold(a, of(h, 1), costing(std::chrono::seconds(h), 1));
  BOOST_CHECK((asked(a.acquire(of(30, 3), t0)) == std::vector<holder_id>{1, 2, 3}));

  auto b = machine({24});
  for (holder_id h = 1; h <= 14; ++h) hold(b, of(h, 1), costing(1s, 1));
  hold(b, of(15, 10), costing(11s, 1));  // dearer for each byte, but enough alone
  BOOST_CHECK((asked(b.acquire(of(30, 24), t0)).size() == 15));
  auto c = machine({23});
  for (holder_id h = 1; h <= 13; ++h) hold(c, of(h, 1), costing(1s, 1));
  hold(c, of(15, 10), costing(9s, 1));  // cheaper for each byte: taken first, and enough
  BOOST_CHECK((asked(c.acquire(of(30, 10), t0)) == std::vector<holder_id>{15}));
}

BOOST_AUTO_TEST_CASE(what_is_already_coming_back_is_not_asked_for_again) {
  auto a = machine({24});
  hold(a, of(1, 12));
  hold(a, of(2, 12));
  BOOST_CHECK_EQUAL(asked(a.acquire(of(3, 6), t0)).size(), 1u);
  BOOST_CHECK(a.acquire(of(4, 6), t0).empty());
  BOOST_CHECK(a.advance(t0 + 100s).empty());
  BOOST_CHECK_EQUAL(asked(a.acquire(of(5, 6), t0)).size(), 1u);
}

BOOST_AUTO_TEST_CASE(idle_goes_before_busy_whatever_it_costs) {
  auto a = machine({24});
  hold(a, of(1, 12), costing(600s, 10));
  auto d = busy(0, 1);
  d.expected_load = 1s;
  hold(a, of(2, 12), d);
  BOOST_CHECK((asked(a.acquire(of(3, 12), t0 + 10s)) == std::vector<holder_id>{1}));
}

BOOST_AUTO_TEST_CASE(work_in_flight_is_safe_for_min_residency) {
  auto a = machine({24});
  hold(a, of(1, 24), busy(0, 1));
  BOOST_CHECK((asked(a.acquire(of(2, 24), t0)) == nobody));
  BOOST_CHECK(a.next_deadline() == t0 + 5s);
  BOOST_CHECK((asked(a.advance(t0 + 5s - 1ns)) == nobody));
  BOOST_CHECK((asked(a.advance(t0 + 5s)) == std::vector<holder_id>{1}));  // evict (a)
  BOOST_CHECK(a.next_deadline() == t0 + 30s);
}

BOOST_AUTO_TEST_CASE(its_own_waiting_work_comes_first_until_the_other_waited_too_long) {
  auto a = machine({24});
  hold(a, of(1, 24), busy(3, 1));
  a.demand(2, busy(1, 0, t0 - 10s), t0);  // its oldest ticket came before its request
  a.acquire(of(2, 24), t0);
  BOOST_CHECK((asked(a.advance(t0 + 5s)) == nobody));
  BOOST_CHECK(a.next_deadline() == t0 + 20s);
  auto later = a;
  BOOST_CHECK((asked(later.advance(t0 + 20s)) == std::vector<holder_id>{1}));           // evict (b)
  BOOST_CHECK((asked(a.demand(1, busy(0, 1), t0 + 6s)) == std::vector<holder_id>{1}));  // evict (a)
}

BOOST_AUTO_TEST_CASE(siblings_do_not_evict_each_other_and_hold_back_nobody) {
  auto a = machine({24});
  const auto of_group = [](holder_id holder, std::uint32_t group) {
    auto request = of(holder, 16);
    request.group = group;
    return request;
  };
  hold(a, of_group(1, 7), idle);
  BOOST_CHECK(a.acquire(of_group(2, 7), t0).empty());
  BOOST_CHECK(a.advance(t0 + 60s).empty());  // overdue
  BOOST_CHECK((are<lease_grant>(a.acquire(of(3, 8), t0 + 60s))));
  BOOST_CHECK((asked(a.acquire(of_group(4, 8), t0 + 60s)) == std::vector<holder_id>{1}));
}

BOOST_AUTO_TEST_CASE(without_a_ticket_the_time_of_the_request_counts) {
  auto a = machine({24});
  hold(a, of(1, 24), busy(3, 1));
  a.acquire(of(2, 24), t0 + 1s);
  BOOST_CHECK((asked(a.advance(t0 + 31s - 1ns)) == nobody));
  BOOST_CHECK((asked(a.advance(t0 + 31s)) == std::vector<holder_id>{1}));
}

BOOST_AUTO_TEST_CASE(a_load_is_not_aborted_for_another_overdue_model) {
  auto a = machine({24});
  hold(a, of(1, 24), busy(3, 0));  // loading
  a.demand(2, busy(1, 0, t0 - 1h), t0);
  a.acquire(of(2, 24), t0);
  BOOST_CHECK((asked(a.advance(t0 + 60s)) == nobody));
  a.demand(1, busy(2, 1), t0 + 60s);  // it serves
  BOOST_CHECK((asked(a.advance(t0 + 65s)) == std::vector<holder_id>{1}));
}

BOOST_AUTO_TEST_CASE(a_holder_that_has_said_nothing_yet_is_not_taken_for_idle) {
  auto a = machine({24});
  a.acquire(of(1, 24), t0);
  BOOST_CHECK((asked(a.acquire(of(2, 24), t0)) == nobody));
  BOOST_CHECK(a.next_deadline() == t0 + 5s);
  auto silent = a;
  BOOST_CHECK((asked(silent.advance(t0 + 5s)) == std::vector<holder_id>{1}));
  BOOST_CHECK((asked(a.demand(1, idle, t0 + 1s)) == std::vector<holder_id>{1}));
}

BOOST_AUTO_TEST_SUITE_END()
