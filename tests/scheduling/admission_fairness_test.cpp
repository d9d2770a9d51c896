// Fair share between principals, the rules one by one. Its bound: admission_bound_test.cpp.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "scheduling/fair_share.hpp"
#include "tests/scheduling/effects.hpp"
#include "tests/scheduling/single_backend.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(admission_fairness)

namespace {

constexpr time_point t0{1h};

ticket of(ticket_id id, std::uint32_t principal, double estimate = 100, double weight = 1,
          priority level = priority::normal) {
  return {.id = id, .level = level, .principal = principal, .weight = weight, .estimate = estimate};
}

single_backend full_queue(duration max_starvation = 1h) {
  single_backend q({.max_concurrent = 1, .max_waiting = 1000000, .max_starvation = max_starvation});
  q.open(t0);
  q.submit({.id = 1000000}, t0);
  return q;
}

grant_permit next(single_backend& q, time_point now = t0) {
  const auto grants = all<grant_permit>(q.give_back(0, 1, now));
  BOOST_REQUIRE_EQUAL(grants.size(), 1u);
  return grants[0];
}

// The principals of the next `n` grants.
std::vector<std::uint32_t> order(single_backend& q, int n, time_point now = t0) {
  std::vector<std::uint32_t> principals;
  while (n-- > 0) principals.push_back(next(q, now).charge.principal);
  return principals;
}

using principals = std::vector<std::uint32_t>;

}  // namespace

BOOST_AUTO_TEST_CASE(who_was_served_least_goes_first) {
  auto q = full_queue();
  for (ticket_id id = 1; id <= 4; ++id) q.submit(of(id, 1), t0);
  for (ticket_id id = 5; id <= 6; ++id) q.submit(of(id, 2), t0);
  BOOST_TEST(order(q, 6) == (principals{1, 2, 1, 2, 1, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(light_requests_go_more_often_than_heavy_ones) {
  auto q = full_queue();
  for (ticket_id id = 1; id <= 10; ++id) q.submit(of(id, 1, 300), t0);
  for (ticket_id id = 11; id <= 20; ++id) q.submit(of(id, 2, 100), t0);
  BOOST_TEST(order(q, 8) == (principals{1, 2, 2, 2, 1, 2, 2, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(twice_the_weight_is_twice_the_service) {
  auto q = full_queue();
  for (ticket_id id = 1; id <= 20; ++id) q.submit(of(id, 1, 100, 2), t0);
  for (ticket_id id = 21; id <= 40; ++id) q.submit(of(id, 2, 100, 1), t0);
  const auto served = order(q, 18);
  BOOST_TEST(std::count(served.begin(), served.end(), 1u) == 12);
}

BOOST_AUTO_TEST_CASE(who_returns_from_idle_has_saved_up_nothing) {
  auto q = full_queue();
  ticket_id id = 0;
  for (int i = 0; i < 100; ++i) q.submit(of(++id, 1), t0), q.submit(of(++id, 2), t0);
  q.submit(of(++id, 3), t0);
  order(q, 150);  // 3 was served once, long ago
  for (int i = 0; i < 20; ++i) q.submit(of(++id, 3), t0);
  const auto served = order(q, 30);
  for (std::uint32_t who : {1, 2, 3}) {
    const auto times = std::count(served.begin(), served.end(), who);
    BOOST_TEST((times >= 9 && times <= 11), who << " was served " << times << " times");
  }
}

BOOST_AUTO_TEST_CASE(an_estimate_is_corrected_when_the_usage_is_known) {
  auto q = full_queue();
  for (ticket_id id = 1; id <= 5; ++id) q.submit(of(id, 1), t0), q.submit(of(id + 5, 2), t0);
  const auto first = next(q);
  BOOST_TEST(first.charge.principal == 1u);
  BOOST_TEST(first.charge.cost == 100);
  q.count_service({.principal = 1, .ended = 1, .corrected = 250}, t0);
  BOOST_TEST(order(q, 5) == (principals{2, 2, 2, 2, 1}), boost::test_tools::per_element());
  q.count_service({.principal = 1, .ended = 1, .corrected = -100}, t0);
  BOOST_TEST(order(q, 1) == (principals{1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_was_served_by_credit_counts) {
  auto q = full_queue();
  q.count_service({.principal = 1, .begun = 3, .charged = 300}, t0);
  for (ticket_id id = 1; id <= 5; ++id) q.submit(of(id, 2), t0), q.submit(of(id + 5, 1), t0);
  BOOST_TEST(order(q, 4) == (principals{2, 2, 2, 1}), boost::test_tools::per_element());
  // Time alone by credit is not held against anybody: who came second is lifted to the first.
  auto alone = full_queue();
  for (int i = 0; i < 100; ++i) {
    alone.count_service({.principal = 1, .begun = 1, .charged = 100, .ended = 1}, t0);
  }
  for (ticket_id id = 1; id <= 9; ++id)
    alone.submit(of(id, 2), t0), alone.submit(of(id + 9, 1), t0);
  const auto served = order(alone, 10);
  BOOST_TEST(std::count(served.begin(), served.end(), 1u) >= 4);
}

BOOST_AUTO_TEST_CASE(a_backlog_that_ages_does_not_overtake_who_was_served_less) {
  auto q = full_queue(1s);
  for (ticket_id id = 1; id <= 100; ++id) q.submit(of(id, 1), t0);
  order(q, 50);
  q.submit(of(200, 2), t0 + 10s);
  q.submit(of(201, 2), t0 + 10s);
  const auto served = order(q, 4, t0 + 10s);
  BOOST_TEST(std::count(served.begin(), served.end(), 2u) == 2);
}

BOOST_AUTO_TEST_CASE(a_low_priority_rises_for_every_principal) {
  auto q = full_queue(1s);
  for (ticket_id id = 1; id <= 20; ++id) {
    q.submit(of(id, 1, 100, 1, priority::low), t0);
    q.submit(of(id + 20, 2, 100, 1, priority::high), t0);
  }
  const auto early = order(q, 4, t0 + 1s);
  BOOST_TEST(std::count(early.begin(), early.end(), 1u) == 0);
  const auto late = order(q, 10, t0 + 2s);
  BOOST_TEST(std::count(late.begin(), late.end(), 2u) >= 3);
  BOOST_TEST(std::count(late.begin(), late.end(), 1u) >= 4);
}

BOOST_AUTO_TEST_CASE(requests_that_cost_nothing_starve_nobody) {
  auto q = full_queue();
  q.submit(of(1, 1), t0);
  q.submit(of(2, 2), t0);
  order(q, 1);
  q.submit(of(3, 1), t0);  // served 100 already
  ticket_id id = 10;
  for (int i = 0; i < 200; ++i) {
    q.submit(of(++id, 2, 0), t0);
    const auto grant = next(q);
    if (grant.id == 3) return;
    q.count_service({.principal = 2, .ended = 1, .corrected = -grant.charge.cost + 1}, t0);
  }
  BOOST_ERROR("who had been served once was never served again");
}

BOOST_AUTO_TEST_CASE(who_leaves_and_comes_back_still_owes) {
  auto q = full_queue();
  q.submit(of(1, 1, 1000), t0);
  q.submit(of(2, 2), t0);
  order(q, 1);
  q.count_service({.principal = 1, .ended = 1}, t0);
  for (std::uint32_t other = 100; other < 200; ++other) {  // many come and go meanwhile
    q.submit(of(other, other), t0);
    q.cancel(other, t0);
  }
  q.submit(of(3, 1), t0);
  for (ticket_id id = 4; id < 10; ++id) q.submit(of(id, 2), t0);
  BOOST_TEST(order(q, 6) == (principals{2, 2, 2, 2, 2, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(classes_have_counters_of_their_own) {
  auto q = full_queue();
  auto batch = [](ticket_id id, std::uint32_t principal) {
    auto t = of(id, principal);
    t.work = work_class::batch;
    return t;
  };
  q.submit(batch(1, 9), t0);  // waits all the time, and holds no floor of realtime down
  ticket_id id = 10;
  for (int i = 0; i < 50; ++i) q.submit(of(++id, 1), t0);
  order(q, 40);
  for (int i = 0; i < 50; ++i) q.submit(of(++id, 2), t0);
  const auto served = order(q, 10);
  BOOST_TEST(std::count(served.begin(), served.end(), 1u) >= 4);
}

BOOST_AUTO_TEST_CASE(place_is_about_where_the_ticket_stands) {
  auto q = full_queue();
  ticket_id id = 0;
  for (int i = 0; i < 1000; ++i) q.submit(of(++id, 1), t0);
  for (std::uint32_t who = 2; who <= 11; ++who) q.submit(of(++id, who), t0);
  order(q, 50);
  q.submit(of(5000, 20), t0);  // nothing waiting before: its turn is next or soon
  BOOST_TEST(q.place(5000, t0)->position <= 12u);
  BOOST_TEST(q.place(1000, t0)->position >= 900u);
  BOOST_TEST(q.place(1000, t0)->position <= q.waiting());
  q.submit(of(5001, 20), t0);
  BOOST_TEST(q.place(5000, t0)->position < q.place(5001, t0)->position);
}

BOOST_AUTO_TEST_CASE(nonsense_in_a_report_does_no_lasting_harm) {
  auto q = full_queue();
  const auto infinite = std::numeric_limits<double>::infinity();
  q.count_service({.principal = 1, .weight = 0, .begun = 1, .charged = std::nan("")}, t0);
  q.count_service({.principal = 2, .weight = -infinite, .ended = 7, .corrected = infinite}, t0);
  for (ticket_id id = 1; id <= 5; ++id) q.submit(of(id, 1, -infinite, std::nan("")), t0);
  for (ticket_id id = 6; id <= 9; ++id) q.submit(of(id, 2, std::nan(""), 1), t0);
  BOOST_TEST(order(q, 9).size() == 9u);
}

BOOST_AUTO_TEST_CASE(only_who_waits_runs_or_owes_is_remembered) {
  fair_share share;
  for (std::uint32_t who = 1; who <= 1000000; ++who) {
    share.count({.principal = who, .begun = 1, .charged = 100});
    share.count({.principal = who, .ended = 1, .corrected = 100});
  }
  BOOST_TEST(share.accounts() <= fair_share::most_accounts + 1);
  // The floor moves on, and what is below it goes.
  for (int i = 0; i < 10; ++i)
    share.count({.principal = 1, .begun = 1, .charged = 1000, .ended = 1});
  for (std::uint32_t who = 0; who < 300000; ++who) {
    share.count({.principal = who % 1000, .begun = 1, .charged = 100, .ended = 1});
  }
  for (std::uint32_t who = 2000000; who < 2100000; ++who) {
    share.count({.principal = who, .begun = 1, .charged = 1, .ended = 1});
    share.count({.principal = 1, .begun = 1, .charged = 2, .ended = 1});
  }
  BOOST_TEST(share.accounts() < fair_share::most_accounts / 3);
}

BOOST_AUTO_TEST_SUITE_END()
