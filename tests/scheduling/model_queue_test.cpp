// The decisions that model_queue adds to admission. How it speaks with its actors is in
// tests/actors.
#include "scheduling/model_queue.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/scheduling/effects.hpp"

namespace signalbox::scheduling::test {
BOOST_AUTO_TEST_SUITE(model_queue_tests)
namespace {

using namespace std::chrono_literals;

constexpr time_point start{1h};

model_queue_options for_shards(std::size_t shards) {
  return {.limits = {.expected_units = 4, .max_waiting = 8}, .shards = shards};
}

std::uint32_t credits_in(const queue_effects& effects) {
  std::uint32_t sum = 0;
  for (const auto& given : signalbox::test::all<give_credits>(effects)) sum += given.count;
  return sum;
}

// An open queue with one shard, which has the four units of backend 1 as credits.
model_queue stocked_queue() {
  model_queue q(for_shards(1));
  q.attach_shard(0, {}, start);
  q.add_backend(1, start);
  BOOST_TEST(credits_in(q.open(1, 4, 1, start)) == 4u);
  return q;
}

ticket of(ticket_id id, work_class work = work_class::realtime) {
  ticket t;
  t.id = id;
  t.work = work;
  t.deadline = start + 1min;
  return t;
}

shard_batch returning(std::uint32_t units, class_counts in_use) {
  shard_batch batch;
  batch.backends = {{.backend = 1, .units_returned = units, .in_use = in_use}};
  return batch;
}

using signalbox::test::all;

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_is_given_before_it_is_known_what_all_shards_have_in_flight) {
  model_queue q(for_shards(2));
  q.add_backend(1, start);
  q.open(1, 4, 1, start);
  BOOST_TEST(credits_in(q.attach_shard(0, {}, start)) == 0u);
  const backend_units in_flight{1, 2};
  BOOST_TEST(credits_in(q.attach_shard(1, {&in_flight, 1}, start)) == 2u);
  BOOST_TEST(q.permits().held(1) == 4u);
}

BOOST_AUTO_TEST_CASE(a_backend_that_closed_meanwhile_stays_closed) {
  model_queue q(for_shards(1));
  q.add_backend(1, start);
  q.open(1, 4, 1, start);
  q.close(1, 1, false, start);
  q.attach_shard(0, {}, start);
  BOOST_TEST(!q.permits().is_open());
}

BOOST_AUTO_TEST_CASE(units_that_change_before_all_shards_are_known_count) {
  model_queue q(for_shards(1));
  q.add_backend(1, start);
  q.open(1, 4, 1, start);
  q.set_units(1, 2, start);
  BOOST_TEST(credits_in(q.attach_shard(0, {}, start)) == 2u);
}

BOOST_AUTO_TEST_CASE(the_rate_of_requests_is_part_of_the_demand) {
  auto q = stocked_queue();
  q.set_holder(1, 9, start);
  auto ended = returning(0, {2});
  ended.settled.completed = 60;
  const auto told = all<tell_demand>(q.take(ended, start + 10s));
  BOOST_REQUIRE_EQUAL(told.size(), 1u);
  BOOST_TEST(told[0].holder == 9u);
  BOOST_TEST(told[0].demand.arrivals_per_s > 0.0);
}

BOOST_AUTO_TEST_CASE(a_request_that_crosses_the_idle_question_is_not_cut_off) {
  auto q = stocked_queue();
  BOOST_TEST(all<tell_not_idle>(q.close(1, 5, true, start)).empty());  // as far as it knows
  const auto effects = q.take(returning(3, {1}), start);  // but one was taken by credit
  BOOST_TEST(all<tell_not_idle>(effects).at(0).closing == 5u);
  BOOST_TEST(credits_in(effects) == 3u);
  BOOST_TEST(q.permits().is_open(1));
}

BOOST_AUTO_TEST_CASE(a_ticket_that_crosses_the_idle_question_is_served) {
  auto q = stocked_queue();
  q.close(1, 5, true, start);
  shard_batch asks;
  asks.tickets = {of(1)};
  BOOST_TEST(all<tell_not_idle>(q.take(asks, start)).size() == 1u);
  BOOST_TEST(all<grant_permit>(q.take(returning(4, {}), start)).at(0).id == 1u);
}

BOOST_AUTO_TEST_CASE(an_idle_queue_that_closes_stays_closed) {
  auto q = stocked_queue();
  q.close(1, 5, true, start);
  const auto effects = q.take(returning(4, {}), start);
  BOOST_TEST(all<tell_drained>(effects).at(0).closing == 5u);
  BOOST_TEST(!q.permits().is_open(1));
}

BOOST_AUTO_TEST_CASE(an_idle_question_that_is_asked_again_gets_the_answer) {
  for (const std::uint32_t in_use : {0, 1}) {
    auto q = stocked_queue();
    q.close(1, 5, true, start);
    BOOST_TEST(all<tell_not_idle>(q.close(1, 6, true, start + 5s)).empty());  // it is not known yet
    const auto effects = q.take(returning(4 - in_use, {in_use}), start + 5s);
    if (in_use == 0) {
      BOOST_TEST(all<tell_drained>(effects).at(0).closing == 6u);
    } else {
      BOOST_TEST(all<tell_not_idle>(effects).at(0).closing == 6u);
      BOOST_TEST(q.permits().is_open(1));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_queue_that_must_close_does_not_open_for_what_is_in_flight) {
  auto q = stocked_queue();
  q.close(1, 5, false, start);
  q.take(returning(3, {1}), start);
  BOOST_TEST(!q.permits().is_open(1));
  BOOST_TEST(all<tell_drained>(q.take(returning(1, {}), start)).size() == 1u);
}

BOOST_AUTO_TEST_CASE(each_backend_hears_how_long_requests_want_it) {
  auto q = stocked_queue();
  q.add_backend(2, start);
  shard_batch batch;
  BOOST_TEST(all<tell_keep_loaded>(q.take(batch, start)).empty());
  batch.keep_loaded = -1s;
  const auto told = all<tell_keep_loaded>(q.take(batch, start));
  BOOST_REQUIRE_EQUAL(told.size(), 2u);
  BOOST_TEST(told[0].backend == 1u);
  BOOST_TEST(told[1].backend == 2u);
  BOOST_TEST((told[0].idle == -1s));
}

BOOST_AUTO_TEST_CASE(a_refusal_that_is_over_does_not_count) {
  model_queue q(for_shards(1));
  q.attach_shard(0, {}, start);
  for (const backend_id id : {1, 2}) q.add_backend(id, start);
  q.refuse_waiting(1, refusal::model_failed, 1s, "", start);
  shard_batch asks;
  asks.tickets = {of(1)};
  q.take(asks, start);
  // Backend 1 may be starting by now.
  BOOST_TEST(
      all<refuse_ticket>(q.refuse_waiting(2, refusal::model_failed, 9s, "", start + 2s)).empty());
  BOOST_TEST(
      all<refuse_ticket>(q.refuse_waiting(1, refusal::model_failed, 9s, "", start + 3s)).size() ==
      1u);
}

BOOST_AUTO_TEST_CASE(units_that_come_with_tickets_go_to_the_most_urgent) {
  auto q = stocked_queue();
  shard_batch first;
  for (ticket_id id = 1; id <= 4; ++id) first.tickets.push_back(of(id, work_class::batch));
  q.take(first, start);
  const auto granted = all<grant_permit>(q.take(returning(4, {}), start));
  BOOST_REQUIRE(granted.size() == 4u);
  // One of them was preempted. Its ticket, its unit and what it makes room for are one message.
  auto both = returning(1, {0, 3});
  auto back = of(11, work_class::batch), urgent = of(12);
  back.place = granted[0].place;
  back.deadline = urgent.deadline = start;  // nobody wants to wait
  both.tickets = {back, urgent};
  const auto effects = q.take(both, start);
  BOOST_TEST(all<grant_permit>(effects).at(0).id == 12u);
  BOOST_TEST(all<refuse_ticket>(effects).empty());
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace signalbox::scheduling::test
