#include "scheduling/lease_arbiter.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "tests/scheduling/arbiter_scenes.hpp"
#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(lease_arbiter_rules)

BOOST_AUTO_TEST_CASE(room_is_free_grants_with_growing_tokens) {
  auto a = machine({24});
  auto first = all<lease_grant>(a.acquire(of(1, 10), t0));
  auto second = all<lease_grant>(a.acquire(of(2, 14), t0));
  BOOST_REQUIRE(first.size() == 1 && second.size() == 1);
  BOOST_CHECK(first[0].rule == swap_rule::room);
  BOOST_CHECK_GT(second[0].token, first[0].token);
  BOOST_CHECK_EQUAL(a.used_memory(0), 24u);
}

BOOST_AUTO_TEST_CASE(tokens_are_above_their_floor) {
  lease_arbiter a({.gpu_memory = {24}, .token_floor = 3ull << 32});
  BOOST_CHECK_EQUAL(hold(a, of(1, 10)), (3ull << 32) + 1);
  BOOST_CHECK_EQUAL(hold(a, of(2, 10)), (3ull << 32) + 2);
}

BOOST_AUTO_TEST_CASE(what_can_never_fit_is_refused_at_once) {
  auto a = machine({24, 24});
  auto refused = all<lease_refusal>(a.acquire(of(1, 25), t0));
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_CHECK(refused[0].why == refusal::does_not_fit);
  BOOST_CHECK_EQUAL(a.pending(), 0u);
  BOOST_CHECK_EQUAL(count<lease_refusal>(machine({}).acquire(of(1, 0), t0)), 1u);
}

BOOST_AUTO_TEST_CASE(the_tightest_fit_is_taken) {
  auto a = machine({24, 12, 24});
  BOOST_CHECK_EQUAL(indexes_of(all<lease_grant>(a.acquire(of(1, 10), t0))[0].gpus), "1");
  BOOST_CHECK_EQUAL(indexes_of(all<lease_grant>(a.acquire(of(2, 20), t0))[0].gpus), "0");
}

BOOST_AUTO_TEST_CASE(one_request_or_lease_for_each_holder) {
  auto a = machine({24});
  hold(a, of(1, 20));
  BOOST_CHECK(a.acquire(of(1, 2), t0).empty());
  hold(a, of(2, 4));
  a.acquire(of(3, 24), t0);
  BOOST_CHECK(a.acquire(of(3, 24), t0).empty());
  BOOST_CHECK_EQUAL(a.pending(), 1u);
}

BOOST_AUTO_TEST_CASE(memory_counts_until_it_is_released_under_the_current_token) {
  auto a = machine({24});
  auto token = hold(a, of(1, 20));
  BOOST_CHECK((asked(a.acquire(of(2, 20), t0)) == std::vector<holder_id>{1}));
  BOOST_CHECK(a.release(1, token + 1, t0).empty());
  BOOST_CHECK(a.release(2, token, t0).empty());
  BOOST_CHECK_EQUAL(a.used_memory(0), 20u);
  auto grants = all<lease_grant>(a.release(1, token, t0));
  BOOST_REQUIRE_EQUAL(grants.size(), 1u);
  BOOST_CHECK_EQUAL(grants[0].holder, 2u);
  BOOST_CHECK(grants[0].rule == swap_rule::evict);
}

BOOST_AUTO_TEST_CASE(pinned_is_no_victim_and_evicts_like_others) {
  auto a = machine({24});
  hold(a, of(1, 24, policy::pinned));
  BOOST_CHECK((asked(a.acquire(of(2, 24), t0)) == nobody));
  BOOST_CHECK((asked(a.advance(t0 + 1000s)) == nobody));
  auto b = machine({24});
  hold(b, of(1, 24));
  BOOST_CHECK((asked(b.acquire(of(2, 24, policy::pinned), t0)) == std::vector<holder_id>{1}));
}

BOOST_AUTO_TEST_CASE(who_only_waits_for_a_pinned_model_holds_up_nobody) {
  auto a = machine({24});
  hold(a, of(1, 12, policy::pinned));
  a.acquire(of(2, 24), t0);
  BOOST_CHECK_EQUAL(count<lease_grant>(a.acquire(of(3, 12), t0 + 1000s)), 1u);
}

BOOST_AUTO_TEST_CASE(exclusive_needs_an_empty_machine) {
  auto a = machine({24, 24});
  auto one = hold(a, of(1, 2));
  auto two = hold(a, of(2, 24));
  BOOST_CHECK((asked(a.acquire(of(3, 1, policy::exclusive), t0)) == std::vector<holder_id>{1, 2}));
  BOOST_CHECK(a.release(1, one, t0).empty());
  BOOST_CHECK_EQUAL(count<lease_grant>(a.release(2, two, t0)), 1u);
}

BOOST_AUTO_TEST_CASE(exclusive_asks_all_or_nobody) {
  auto a = machine({24, 24});
  hold(a, of(1, 2));
  hold(a, of(2, 24), busy(1, 1));
  BOOST_CHECK((asked(a.acquire(of(3, 1, policy::exclusive), t0)) == nobody));
  auto b = machine({24});
  hold(b, of(1, 2, policy::pinned));
  hold(b, of(2, 2));
  BOOST_CHECK((asked(b.acquire(of(3, 1, policy::exclusive), t0 + 1h)) == nobody));
}

BOOST_AUTO_TEST_CASE(nobody_is_granted_beside_an_exclusive_holder) {
  auto a = machine({24, 24});
  auto token = hold(a, of(1, 0, policy::exclusive), busy(1, 1));
  BOOST_CHECK(a.acquire(of(2, 1), t0).empty());
  BOOST_CHECK((asked(a.demand(1, idle, t0)) == std::vector<holder_id>{1}));
  BOOST_CHECK(a.acquire(of(3, 24), t0).empty());  // already coming back, on the other GPU
  BOOST_CHECK_EQUAL(count<lease_grant>(a.release(1, token, t0)), 2u);
}

BOOST_AUTO_TEST_CASE(served_by_class_then_by_who_waits_longest) {
  auto a = machine({24});
  auto token = hold(a, of(1, 24));
  a.acquire(of(2, 24, policy::on_demand, work_class::batch), t0);
  a.acquire(of(3, 24), t0 + 1s);
  a.acquire(of(4, 24), t0 + 2s);
  a.demand(4, busy(1, 0, t0 - 1s), t0 + 2s);
  auto now = t0 + 3s;
  for (holder_id expected : {4, 3, 2}) {
    auto holder = a.leases().front().holder;
    auto grants = all<lease_grant>(a.release(holder, token, now));
    BOOST_REQUIRE_EQUAL(grants.size(), 1u);
    BOOST_CHECK_EQUAL(grants[0].holder, expected);
    token = grants[0].token;
  }
}

BOOST_AUTO_TEST_CASE(the_most_urgent_work_makes_the_class_of_a_holder) {
  auto a = machine({24});
  auto token = hold(a, of(1, 24));
  a.acquire(of(2, 24), t0);  // asks as realtime, but has batch only
  a.demand(2, working(work_class::batch, {.waiting = 9, .oldest_wait_since = t0 - 1h}), t0);
  a.acquire(of(3, 24, policy::on_demand, work_class::eval), t0 + 1s);
  a.acquire(of(4, 24, policy::on_demand, work_class::training), t0 + 1s);
  auto mixed = working(work_class::batch, {.waiting = 9, .oldest_wait_since = t0 - 2h});
  mixed.of(work_class::realtime) = {.waiting = 1, .oldest_wait_since = t0 + 1s};
  a.acquire(of(5, 24, policy::on_demand, work_class::batch), t0 + 1s);
  a.demand(5, busy(1, 0, t0), t0 + 1s);
  a.acquire(of(6, 24, policy::on_demand, work_class::batch), t0 + 1s);
  a.demand(6, mixed, t0 + 1s);  // behind 5: its realtime work is younger
  for (holder_id expected : {5, 6, 2, 3, 4}) {
    auto grants = all<lease_grant>(a.release(a.leases().front().holder, token, t0 + 2s));
    BOOST_REQUIRE_EQUAL(grants.size(), 1u);
    BOOST_CHECK_EQUAL(grants[0].holder, expected);
    token = grants[0].token;
    auto as = expected > 4    ? work_class::realtime
              : expected == 2 ? work_class::batch
              : expected == 3 ? work_class::eval
                              : work_class::training;
    BOOST_CHECK(a.leases().front().work == as);
  }
}

BOOST_AUTO_TEST_CASE(what_is_being_freed_for_one_is_not_taken_by_a_later_one) {
  auto a = machine({24});
  auto one = hold(a, of(1, 10));
  hold(a, of(2, 10));
  a.acquire(of(3, 24), t0);                           // asks both
  BOOST_CHECK(a.acquire(of(4, 4), t0 + 1s).empty());  // 4 are free, but they are needed
  BOOST_CHECK(a.release(1, one, t0 + 2s).empty());
  auto b = machine({24});
  hold(b, of(1, 20));
  b.acquire(of(2, 20), t0);
  BOOST_CHECK_EQUAL(count<lease_grant>(b.acquire(of(3, 4), t0 + 1s)), 1u);  // left over
}

BOOST_AUTO_TEST_CASE(a_waiting_request_is_passed_by_only_until_it_is_overdue) {
  auto a = machine({24});
  hold(a, of(1, 12), busy(3, 0));  // loads, and cannot be asked
  a.acquire(of(2, 24), t0);
  auto token = all<lease_grant>(a.acquire(of(3, 12), t0 + 29s))[0].token;  // passes by
  BOOST_CHECK(a.release(3, token, t0 + 30s).empty());
  BOOST_CHECK(a.acquire(of(4, 12), t0 + 31s).empty());  // fits, but may not pass any more
  BOOST_CHECK_EQUAL(count<lease_grant>(a.withdraw(2, t0 + 32s)), 1u);
}

BOOST_AUTO_TEST_CASE(withdrawn_waits_no_more_and_a_lease_cannot_be_withdrawn) {
  auto a = machine({24});
  auto token = hold(a, of(1, 24));
  a.acquire(of(2, 24), t0);
  a.withdraw(2, t0);
  a.withdraw(1, t0);
  BOOST_CHECK_EQUAL(a.leases().size(), 1u);
  BOOST_CHECK(a.release(1, token, t0).empty());
  BOOST_CHECK(a.next_deadline() == never);
}

BOOST_AUTO_TEST_CASE(who_is_gone_holds_nothing_and_waits_for_nothing) {
  auto a = machine({24});
  auto token = hold(a, of(1, 24), busy(5, 1));
  a.acquire(of(2, 24), t0);
  a.acquire(of(3, 24), t0);
  BOOST_CHECK(a.remove(2, t0).empty());
  auto grants = all<lease_grant>(a.remove(1, t0));
  BOOST_REQUIRE_EQUAL(grants.size(), 1u);
  BOOST_CHECK_EQUAL(grants[0].holder, 3u);
  BOOST_CHECK(a.release(1, token, t0).empty());
  BOOST_CHECK(a.remove(7, t0).empty());
}

BOOST_AUTO_TEST_CASE(what_a_turn_left_behind_waits_behind_the_others) {
  auto a = machine({24});
  auto token = hold(a, of(1, 24), busy(9, 1, t0 - 1h));
  a.acquire(of(2, 24), t0);
  a.advance(t0 + 30s);
  auto second = all<lease_grant>(a.release(1, token, t0 + 31s))[0].token;
  a.acquire(of(1, 24), t0 + 31s);  // its oldest ticket is still the oldest of all
  a.demand(2, busy(5, 1), t0 + 31s);
  a.acquire(of(3, 24), t0 + 32s);
  a.demand(3, busy(1, 0, t0 + 30s), t0 + 32s);
  BOOST_CHECK((asked(a.advance(t0 + 59s)) == nobody));  // the second has its turn, too
  BOOST_CHECK((asked(a.advance(t0 + 60s)) == std::vector<holder_id>{2}));
  BOOST_CHECK_EQUAL(all<lease_grant>(a.release(2, second, t0 + 60s))[0].holder, 3u);
}

// Rule backoff: a model that cannot load gives its lease back and asks again later; between its
// attempts the other one is served.
BOOST_AUTO_TEST_CASE(a_failing_model_blocks_nobody) {
  auto a = machine({24});
  auto token = hold(a, of(1, 24), busy(5, 0));
  a.acquire(of(2, 24), t0);
  auto grants = all<lease_grant>(a.release(1, token, t0 + 1s));
  BOOST_REQUIRE_EQUAL(grants.size(), 1u);
  BOOST_CHECK_EQUAL(grants[0].holder, 2u);
}

// One model at a time; requests A B A A C A B C, each served for a second after a load of two.
BOOST_AUTO_TEST_CASE(requests_are_collated_into_few_swaps_and_nobody_waits_past_the_bound) {
  auto a = machine({24});
  struct one {
    std::deque<time_point> waiting;
    fencing_token token = 0;
    time_point ready = never, done = never;
    bool asked_back = false;
  };
  std::vector<one> models(3);
  int swaps = 0, served = 0;
  duration longest{};
  auto carry_out = [&](const arbiter_effects& effects, time_point now) {
    for (const auto& g : all<lease_grant>(effects)) {
      models[g.holder].token = g.token;
      models[g.holder].ready = now + 2s;
      ++swaps;
    }
    for (const auto& b : all<ask_back>(effects)) models[b.holder].asked_back = true;
  };
  const std::string arrivals = "ABAACABC";
  for (auto now = t0; now < t0 + 200s; now += 500ms) {
    auto second = (now - t0) / 1s;
    if (now == t0 + second * 1s && second < static_cast<long>(arrivals.size())) {
      models[static_cast<std::size_t>(arrivals[static_cast<std::size_t>(second)] - 'A')]
          .waiting.push_back(now);
    }
    for (holder_id h = 0; h < 3; ++h) {
      auto& m = models[h];
      if (m.done <= now) m.done = never;
      if (m.token != 0 && m.ready <= now && m.done == never && !m.asked_back &&
          !m.waiting.empty()) {
        longest = std::max(longest, duration(now - m.waiting.front()));
        m.waiting.pop_front();
        m.done = now + 1s;
        ++served;
      }
      auto d = busy(static_cast<std::uint32_t>(m.waiting.size()), m.done != never,
                    m.waiting.empty() ? never : m.waiting.front());
      d.expected_load = 2s;
      carry_out(a.demand(h, d, now), now);
      if (m.token == 0 && !m.waiting.empty()) carry_out(a.acquire(of(h, 24), now), now);
      if (m.asked_back && m.done == never) {
        auto token = std::exchange(m.token, 0);
        m = {.waiting = m.waiting};
        carry_out(a.release(h, token, now), now);
      }
    }
    carry_out(a.advance(now), now);
  }
  BOOST_CHECK_EQUAL(served, 8);
  BOOST_CHECK_LE(swaps, 4);  // first come, first served would be seven
  BOOST_CHECK(longest <= 30s + 5s + 2s + 1s);
}

BOOST_AUTO_TEST_SUITE_END()
