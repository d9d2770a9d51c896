// Requests for several GPUs, whole ones, all of them, beside those for one.
#include <boost/test/unit_test.hpp>
#include <deque>
#include <map>
#include <vector>

#include "tests/scheduling/arbiter_scenes.hpp"
#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(lease_arbiter_sets)

namespace {

// The set that the one grant among the effects names.
gpu_set granted(const arbiter_effects& effects) {
  auto grants = all<lease_grant>(effects);
  return grants.size() == 1 ? grants[0].gpus : gpu_set{};
}

using gpus = gpu_set;

}  // namespace

BOOST_AUTO_TEST_CASE(several_gpus_are_granted_at_once_the_tightest_first) {
  auto a = machine({24, 12, 48, 16});
  BOOST_CHECK((granted(a.acquire(on(2, 1, 10), t0)) == gpus{{1, 10}, {3, 10}}));
  BOOST_CHECK((granted(a.acquire(on(2, 2, 10), t0)) == gpus{{0, 10}, {2, 10}}));
  BOOST_CHECK((granted(a.acquire(of(3, 6), t0)) == gpus{{3, 6}}));
  BOOST_CHECK_EQUAL(a.used_memory(3), 16u);
  BOOST_CHECK((a.leases()[0].gpus == gpus{{1, 10}, {3, 10}}));
}

BOOST_AUTO_TEST_CASE(whole_gpus_are_those_that_nobody_is_on) {
  auto a = machine({24, 12, 24});
  hold(a, of(1, 1));  // the tightest fit
  BOOST_CHECK((granted(a.acquire(on(2, 2, whole_gpu), t0)) == gpus{{0, 24}, {2, 24}}));
  BOOST_CHECK((granted(a.acquire(of(3, 11), t0)) == gpus{{1, 11}}));
  BOOST_CHECK_EQUAL(count<lease_grant>(a.acquire(of(4, 0), t0)), 0u);  // counts a byte
}

BOOST_AUTO_TEST_CASE(all_gpus_are_all_that_there_are) {
  auto a = machine({24, 12});
  BOOST_CHECK((granted(a.acquire({1, whole_machine}, t0)) == gpus{{0, 24}, {1, 12}}));
  auto b = machine({24, 12});
  hold(b, of(1, 14));
  BOOST_CHECK((granted(b.acquire(on(all_gpus, 2, 10), t0)) == gpus{{0, 10}, {1, 10}}));
  BOOST_CHECK_EQUAL(count<lease_refusal>(b.acquire(on(all_gpus, 3, 13), t0)), 1u);
  BOOST_CHECK_EQUAL(count<lease_refusal>(machine({}).acquire({1, whole_machine}, t0)), 1u);
}

BOOST_AUTO_TEST_CASE(more_gpus_than_are_large_enough_is_refused) {
  auto a = machine({24, 12});
  BOOST_CHECK_EQUAL(count<lease_refusal>(a.acquire(on(2, 1, 13), t0)), 1u);
  BOOST_CHECK_EQUAL(count<lease_refusal>(a.acquire(on(3, 1, 1), t0)), 1u);
  BOOST_CHECK_EQUAL(count<lease_refusal>(a.acquire(on(3, 1, whole_gpu), t0)), 1u);
  BOOST_CHECK_EQUAL(count<lease_grant>(a.acquire(on(0, 1, 1), t0)), 1u);  // means one
}

BOOST_AUTO_TEST_CASE(the_cheapest_set_of_gpus_is_emptied) {
  auto a = machine({24, 24, 24, 24});
  hold(a, of(1, 24), costing(30s, 1));
  hold(a, of(2, 24), costing(10s, 1));
  hold(a, of(3, 24), costing(20s, 1));
  hold(a, of(4, 24), costing(40s, 1));
  BOOST_CHECK((asked(a.acquire(on(2, 5, 20), t0)) == std::vector<holder_id>{2, 3}));
}

// Alone, each of the first two GPUs is cheaper than each of the others.
BOOST_AUTO_TEST_CASE(one_holder_of_two_gpus_may_be_cheaper_than_two_of_one) {
  auto a = machine({24, 24, 24, 24});
  hold(a, on(2, 3, whole_gpu), costing(15s, 1));
  hold(a, of(1, 24), costing(10s, 1));
  hold(a, of(2, 24), costing(10s, 1));
  BOOST_CHECK((asked(a.acquire(on(2, 4, 24), t0)) == std::vector<holder_id>{3}));
}

BOOST_AUTO_TEST_CASE(each_gpu_of_the_set_gets_what_it_misses_and_nobody_is_asked_in_vain) {
  auto a = machine({24, 24});
  hold(a, on(2, 1, 4), costing(100s, 1));
  hold(a, of(2, 20), costing(10s, 1));
  hold(a, of(3, 10), costing(10s, 1));
  hold(a, of(4, 10), costing(20s, 1));
  BOOST_CHECK((asked(a.acquire(on(2, 5, 10), t0)) == std::vector<holder_id>{2, 3}));
  auto b = machine({24, 24});
  hold(b, on(2, 1, 4), costing(1s, 1));
  hold(b, of(2, 20), costing(10s, 1));
  hold(b, of(3, 20), costing(10s, 1));
  BOOST_CHECK((asked(b.acquire(on(2, 4, 4), t0)) == std::vector<holder_id>{1}));
}

BOOST_AUTO_TEST_CASE(many_candidates_on_many_gpus) {
  auto a = machine(std::vector<std::uint64_t>(10, 8));
  for (holder_id h = 1; h <= 40; ++h) hold(a, of(h, 2), costing(std::chrono::seconds(h), 1));
  auto victims = asked(a.acquire(on(3, 50, 4), t0));
  BOOST_CHECK_EQUAL(victims.size(), 6u);  // two of each GPU, of the GPUs that are cheapest alone
  std::map<std::uint32_t, int> on_gpu;
  for (const auto& l : a.leases()) on_gpu[l.gpus[0].gpu] += l.asked_back;
  for (const auto& [gpu, count] : on_gpu) BOOST_CHECK_EQUAL(count, gpu < 3 ? 2 : 0);
  auto b = machine(std::vector<std::uint64_t>(40, 8));
  for (holder_id h = 1; h <= 40; ++h) hold(b, of(h, 8));
  BOOST_CHECK_EQUAL(asked(b.acquire({50, whole_machine}, t0)).size(), 40u);
}

BOOST_AUTO_TEST_CASE(pinned_holders_are_no_victims_on_any_gpu) {
  auto a = machine({24, 24, 24});
  hold(a, of(1, 10, policy::pinned));
  hold(a, of(2, 24), costing(100s, 1));
  hold(a, of(3, 24), costing(100s, 1));
  BOOST_CHECK((asked(a.acquire(on(2, 4, 20), t0)) == std::vector<holder_id>{2, 3}));
  BOOST_CHECK((asked(a.acquire(on(3, 5, 20), t0)) == nobody));
  BOOST_CHECK((asked(a.advance(t0 + 1h)) == nobody));
  BOOST_CHECK_EQUAL(count<lease_grant>(a.acquire(of(6, 14), t0 + 1h)), 1u);  // 5 holds up nobody
}

BOOST_AUTO_TEST_CASE(what_is_being_freed_on_several_gpus_is_not_taken_by_a_later_one) {
  auto a = machine({24, 24});
  auto one = hold(a, of(1, 20));
  auto two = hold(a, of(2, 20));
  BOOST_CHECK((asked(a.acquire(on(2, 3, 20), t0)) == std::vector<holder_id>{1, 2}));
  BOOST_CHECK(a.release(1, one, t0).empty());         // the other GPU is yet to come
  BOOST_CHECK(a.acquire(of(4, 5), t0 + 1s).empty());  // 24 are free, and 20 are needed
  BOOST_CHECK((granted(a.acquire(of(5, 4), t0 + 1s)) == gpus{{1, 4}}));  // left over
  auto grants = all<lease_grant>(a.release(2, two, t0 + 2s));
  BOOST_REQUIRE_EQUAL(grants.size(), 1u);
  BOOST_CHECK((grants[0].gpus == gpus{{0, 20}, {1, 20}}));
  BOOST_CHECK(grants[0].rule == swap_rule::evict);
}

BOOST_AUTO_TEST_CASE(all_or_nobody_is_asked) {
  auto a = machine({24, 24});
  hold(a, of(1, 24));
  hold(a, of(2, 24), busy(1, 1));
  BOOST_CHECK((asked(a.acquire(on(2, 3, 1), t0)) == nobody));
  BOOST_CHECK((asked(a.demand(2, idle, t0 + 1s)) == std::vector<holder_id>{1, 2}));
}

BOOST_AUTO_TEST_CASE(an_overdue_request_holds_back_all_its_gpus) {
  auto a = machine({24, 24, 24});
  hold(a, of(1, 12), busy(3, 0));  // loads, and cannot be asked
  hold(a, of(2, 20), busy(3, 0));
  a.acquire(on(2, 3, 24), t0);
  BOOST_CHECK((granted(a.acquire(of(4, 4), t0 + 29s)) == gpus{{1, 4}}));    // passes by
  BOOST_CHECK((granted(a.acquire(of(5, 24), t0 + 31s)) == gpus{{2, 24}}));  // not one of its own
  BOOST_CHECK(a.acquire(of(6, 12), t0 + 31s).empty());
  BOOST_CHECK_EQUAL(count<lease_grant>(a.withdraw(3, t0 + 32s)), 1u);
}

// One-GPU models come and go without a gap; each serves for as long as it is let.
BOOST_AUTO_TEST_CASE(a_request_for_several_gpus_is_not_starved_by_small_ones) {
  auto a = machine({24, 24, 24});
  std::map<holder_id, fencing_token> held;
  std::deque<std::pair<time_point, holder_id>> ends;
  auto carry_out = [&](const arbiter_effects& effects, time_point now) {
    for (const auto& g : all<lease_grant>(effects)) {
      held[g.holder] = g.token;
      a.demand(g.holder, busy(3, 1), now);
    }
    for (const auto& b : all<ask_back>(effects)) ends.emplace_back(now + 2s, b.holder);
  };
  holder_id next = 100;
  for (int i = 0; i < 3; ++i) carry_out(a.acquire(of(next++, 14), t0), t0);
  carry_out(a.acquire(on(2, 1, 20), t0 + 1s), t0 + 1s);
  auto now = t0 + 1s;
  for (; !held.contains(1) && now < t0 + 200s; now += 1s) {
    carry_out(a.acquire(of(next++, 10), now), now);  // fits beside
    for (auto due = std::exchange(ends, {}); const auto& [when, holder] : due) {
      if (when > now) {
        ends.emplace_back(when, holder);
      } else {
        carry_out(a.release(holder, held.at(holder), now), now);
      }
    }
    carry_out(a.advance(now), now);
  }
  BOOST_CHECK(held.contains(1));
  // max_swap_wait + min_residency + the time to drain, and a step of this loop.
  BOOST_CHECK(now <= t0 + 1s + 30s + 5s + 2s + 1s);
}

BOOST_AUTO_TEST_SUITE_END()
