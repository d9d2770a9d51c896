// One queue over several backends: how their units are shared out, chosen and taken back.
#include <boost/test/unit_test.hpp>
#include <map>
#include <set>

#include "scheduling/admission.hpp"
#include "scheduling/routing.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace std::chrono_literals;

namespace {

constexpr time_point t0{1h};

template <class Effect>
std::vector<Effect> all(const admission_effects& effects) {
  std::vector<Effect> found;
  for (const auto& effect : effects) {
    if (const auto* e = std::get_if<Effect>(&effect)) found.push_back(*e);
  }
  return found;
}

ticket of(ticket_id id, shard_id shard = 0, work_class work = work_class::realtime) {
  ticket t;
  t.id = id;
  t.shard = shard;
  t.work = work;
  return t;
}

admission queue_of(std::initializer_list<std::uint32_t> units) {
  admission q({.max_waiting = 100});
  backend_id backend = 0;
  for (const auto count : units) q.open(++backend, count, t0);
  return q;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(several_backends)

BOOST_AUTO_TEST_CASE(the_least_loaded_is_chosen) {
  BOOST_TEST(is_less_loaded({1, 4}, {1, 2}));
  BOOST_TEST(!is_less_loaded({3, 4}, {1, 2}));
  BOOST_TEST(is_less_loaded({2, 4}, {1, 2}));  // more are free
  BOOST_TEST(is_less_loaded({0, 4}, {0, 2}));
  auto q = queue_of({2, 4});
  std::map<backend_id, int> granted;
  for (ticket_id id = 1; id <= 3; ++id) {
    ++granted[all<grant_permit>(q.submit(of(id), t0)).at(0).backend];
  }
  BOOST_TEST(granted[1] == 1);
  BOOST_TEST(granted[2] == 2);
  for (ticket_id id = 4; id <= 6; ++id) {
    ++granted[all<grant_permit>(q.submit(of(id), t0)).at(0).backend];
  }
  BOOST_TEST(granted[1] == 2);
  BOOST_TEST(granted[2] == 4);
  BOOST_TEST(q.submit(of(7), t0).empty());
  const auto next = all<grant_permit>(q.give_back(0, 1, 1, t0));
  BOOST_REQUIRE(next.size() == 1u);
  BOOST_TEST(next[0].id == 7u);
  BOOST_TEST(next[0].backend == 1u);
}

BOOST_AUTO_TEST_CASE(many_small_backends_stock_every_shard) {
  admission q({.max_waiting = 100});
  q.attach_shard(0, {}, t0);
  q.attach_shard(1, {}, t0);
  std::map<shard_id, std::uint32_t> credits;
  std::map<backend_id, std::uint32_t> units;
  for (backend_id backend = 1; backend <= 5; ++backend) {
    for (const auto& given : all<give_credits>(q.open(backend, 1, t0))) {
      credits[given.shard] += given.count;
      units[given.backend] += given.count;
    }
  }
  BOOST_TEST(credits[0] == 2u);
  BOOST_TEST(credits[1] == 2u);
  for (const auto& [backend, count] : units) BOOST_TEST(count == 1u);
}

BOOST_AUTO_TEST_CASE(a_rest_that_is_not_even_is_shared_over_all_backends) {
  admission q({.max_waiting = 100});
  for (shard_id shard = 0; shard < 3; ++shard) q.attach_shard(shard, {}, t0);
  q.submit(of(1), t0);  // so that nothing is stocked before all are open
  q.open(1, 4, t0);
  q.submit(of(2), t0);
  std::map<shard_id, std::uint32_t> credits;
  const auto sum = [&credits](const admission_effects& effects) {
    for (const auto& given : all<give_credits>(effects)) credits[given.shard] += given.count;
  };
  sum(q.open(2, 4, t0));
  sum(q.open(3, 4, t0));
  BOOST_TEST(credits.size() <= 3u);
  BOOST_TEST(q.held() <= 12u);
  BOOST_TEST(q.held(1) + q.held(2) + q.held(3) == q.held());
}

BOOST_AUTO_TEST_CASE(closing_one_leaves_the_others_alone) {
  admission q({.max_waiting = 100});
  q.attach_shard(0, {}, t0);
  q.open(1, 2, t0);
  q.open(2, 3, t0);
  const auto effects = q.close(1, t0);
  BOOST_REQUIRE(effects.size() == 1u);
  BOOST_TEST(all<recall_credits>(effects).at(0).backend == 1u);
  BOOST_TEST(q.is_open());
  BOOST_TEST(!q.is_open(1));
  BOOST_TEST(q.held(1) == 2u);
  BOOST_TEST(q.give_back(0, 1, 2, t0).empty());  // not granted, nor stocked again
  BOOST_TEST(q.held(1) == 0u);
  BOOST_TEST(q.held(2) == 3u);
  BOOST_TEST(q.units() == 3u);
}

BOOST_AUTO_TEST_CASE(somebody_who_waits_calls_the_credits_of_all_back) {
  admission q({.max_waiting = 100});
  q.attach_shard(0, {}, t0);
  q.attach_shard(1, {}, t0);
  q.open(1, 2, t0);
  q.open(2, 2, t0);
  std::set<std::pair<shard_id, backend_id>> recalled;
  for (const auto& r : all<recall_credits>(q.submit(of(1), t0))) {
    BOOST_TEST(recalled.emplace(r.shard, r.backend).second);
  }
  BOOST_TEST(recalled.size() == 4u);
  BOOST_TEST(all<grant_permit>(q.give_back(1, 2, 1, t0)).at(0).backend == 2u);
}

BOOST_AUTO_TEST_CASE(fewer_units_return_as_requests_end) {
  auto q = queue_of({3});
  for (ticket_id id = 1; id <= 4; ++id) q.submit(of(id), t0);
  BOOST_TEST(q.set_units(1, 1, t0).empty());
  BOOST_TEST(q.held(1) == 3u);
  BOOST_TEST(q.give_back(0, 1, 1, t0).empty());
  BOOST_TEST(q.give_back(0, 1, 1, t0).empty());
  BOOST_TEST(all<grant_permit>(q.give_back(0, 1, 1, t0)).at(0).id == 4u);
  q.submit(of(5), t0);
  BOOST_TEST(all<grant_permit>(q.set_units(1, 2, t0)).at(0).id == 5u);
}

BOOST_AUTO_TEST_CASE(fewer_units_call_credits_back) {
  auto q = queue_of({4});
  BOOST_TEST(all<give_credits>(q.attach_shard(0, {}, t0)).at(0).count == 4u);
  q.report(0, {.backend = 1, .in_use = {4}}, t0);
  // Without the recall the shard would keep each unit as its request ends.
  BOOST_TEST(all<recall_credits>(q.set_units(1, 2, t0)).size() == 1u);
  BOOST_TEST(q.give_back(0, 1, 1, t0).empty());
  BOOST_TEST(q.give_back(0, 1, 1, t0).empty());
  BOOST_TEST(q.held(1) == 2u);
  BOOST_TEST(all<give_credits>(q.give_back(0, 1, 1, t0)).at(0).count == 1u);
  BOOST_TEST(all<recall_credits>(q.set_units(1, 3, t0)).empty());
}

BOOST_AUTO_TEST_CASE(units_of_an_earlier_life_count_against_their_backend) {
  admission q({.max_waiting = 100});
  const backend_units held[] = {{1, 2}, {2, 1}};
  q.attach_shard(0, held, t0);
  BOOST_TEST(q.held(1) == 2u);
  BOOST_TEST(q.held(2) == 1u);
  q.submit(of(1), t0);
  BOOST_TEST(all<grant_permit>(q.open(1, 2, t0)).empty());
  BOOST_TEST(all<grant_permit>(q.open(2, 2, t0)).at(0).backend == 2u);
  q.close(1, t0);
  q.give_back(0, 1, 2, t0);
  BOOST_TEST(q.held(1) == 0u);
}

BOOST_AUTO_TEST_CASE(use_is_told_for_each_class_and_backend) {
  auto q = queue_of({2, 2});
  q.submit(of(1, 0, work_class::batch), t0);
  q.submit(of(2, 0, work_class::realtime), t0);
  const class_counts one{1, 1, 0, 0};
  BOOST_TEST(q.in_use() == one, boost::test_tools::per_element());
  q.report(0, {.backend = 1, .in_use = {0, 1}}, t0 + 1s);
  const class_counts batch{0, 1, 0, 0};
  BOOST_TEST(q.in_use(1) == batch, boost::test_tools::per_element());
  BOOST_TEST((q.last_active(1) == t0 + 1s));
}

BOOST_AUTO_TEST_CASE(preemption_goes_to_every_shard) {
  admission q({.max_waiting = 100});
  q.attach_shard(0, {}, t0);
  q.attach_shard(7, {}, t0);
  const auto told = all<preempt_permits>(q.preempt(work_class::batch, t0));
  BOOST_REQUIRE(told.size() == 2u);
  BOOST_TEST(told[0].shard == 0);
  BOOST_TEST(told[1].shard == 7);
  BOOST_TEST((told[0].work == work_class::batch));
}

BOOST_AUTO_TEST_SUITE_END()
