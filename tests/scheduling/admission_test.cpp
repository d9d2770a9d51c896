#include "tests/scheduling/single_backend.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(admission_rules)

namespace {

constexpr time_point t0{1h};

// Open, without shards that could be stocked: every unit is granted by ticket.
single_backend open_queue_of(std::uint32_t units, std::uint32_t waiting = 100) {
  single_backend q({.max_concurrent = units, .max_waiting = waiting, .max_starvation = 10s});
  q.open(t0);
  return q;
}

ticket of(ticket_id id, priority level = priority::normal, work_class work = work_class::realtime) {
  return {.id = id, .shard = 0, .work = work, .level = level};
}

// The next ticket that is granted when one unit comes back.
ticket_id next(single_backend& q, time_point now = t0) {
  auto grants = all<grant_permit>(q.give_back(0, 1, now));
  BOOST_REQUIRE_EQUAL(grants.size(), 1u);
  return grants[0].id;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_free_unit_is_granted_at_once) {
  auto q = open_queue_of(2);
  BOOST_CHECK((are<grant_permit>(q.submit(of(1), t0))));
  BOOST_CHECK((are<grant_permit>(q.submit(of(2), t0))));
  BOOST_CHECK(q.submit(of(3), t0).empty());
  BOOST_CHECK_EQUAL(q.held(), 2u);
  BOOST_CHECK_EQUAL(q.waiting(), 1u);
}

BOOST_AUTO_TEST_CASE(order_is_class_then_priority_then_arrival) {
  auto q = open_queue_of(1);
  q.submit(of(1), t0);
  q.submit(of(10, priority::high, work_class::batch), t0);
  q.submit(of(11, priority::low), t0);
  q.submit(of(12, priority::normal), t0);
  q.submit(of(13, priority::high), t0);
  q.submit(of(14, priority::normal), t0);
  for (ticket_id expected : {13, 12, 14, 11, 10}) BOOST_CHECK_EQUAL(next(q), expected);
}

BOOST_AUTO_TEST_CASE(a_ticket_rises_one_priority_for_each_max_starvation) {
  auto q = open_queue_of(1);
  q.submit(of(1), t0);
  q.submit(of(2, priority::low), t0);
  q.submit(of(3, priority::normal), t0 + 5s);
  q.submit(of(4, priority::high), t0 + 9s);
  // At 10 s, 2 counts as normal, and came before 3; not before 4.
  BOOST_CHECK_EQUAL(q.place(2, t0 + 9s)->position, 3u);
  BOOST_CHECK_EQUAL(q.place(2, t0 + 10s)->position, 2u);
  BOOST_CHECK_EQUAL(q.place(2, t0 + 20s)->position, 1u);
  BOOST_CHECK_EQUAL(next(q, t0 + 10s), 4u);
  BOOST_CHECK_EQUAL(next(q, t0 + 10s), 2u);
}

BOOST_AUTO_TEST_CASE(aging_stays_inside_the_class) {
  auto q = open_queue_of(1);
  q.submit(of(1), t0);
  q.submit(of(2, priority::high, work_class::batch), t0);
  q.submit(of(3, priority::low), t0 + 1000s);
  BOOST_CHECK_EQUAL(next(q, t0 + 1000s), 3u);
}

BOOST_AUTO_TEST_CASE(low_is_late_but_never_lost) {
  auto q = open_queue_of(1);
  q.submit(of(1), t0);
  q.submit(of(2, priority::low), t0);
  ticket_id id = 100;
  for (auto now = t0; now <= t0 + 21s; now += 1s) {
    q.submit(of(++id, priority::high), now);
    if (next(q, now) == 2) {
      BOOST_CHECK(now >= t0 + 20s);
      return;
    }
  }
  BOOST_FAIL("the low ticket was not granted");
}

BOOST_AUTO_TEST_CASE(full_is_refused_at_once_with_the_measured_rate) {
  auto q = open_queue_of(2, 3);
  for (ticket_id id = 1; id <= 5; ++id) q.submit(of(id), t0);
  q.report(0, 2, 1, 40s, t0);
  auto refused = all<refuse_ticket>(q.submit(of(6), t0));
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_CHECK(refused[0].why == refusal::queue_full);
  BOOST_CHECK(refused[0].retry_after == 80s);  // the fourth in line, two at a time, 40 s each
  BOOST_CHECK_EQUAL(q.waiting(), 3u);
}

BOOST_AUTO_TEST_CASE(retry_after_is_between_one_second_and_ten_minutes) {
  auto q = open_queue_of(1, 0);
  q.submit(of(1), t0);
  BOOST_CHECK(all<refuse_ticket>(q.submit(of(2), t0))[0].retry_after == 1s);
  q.report(0, 1, 1, 10h, t0);
  BOOST_CHECK(all<refuse_ticket>(q.submit(of(3), t0))[0].retry_after == 600s);
}

BOOST_AUTO_TEST_CASE(full_while_closed_is_refused_too) {
  single_backend q({.max_concurrent = 4, .max_waiting = 1});
  BOOST_CHECK(q.submit(of(1), t0).empty());
  BOOST_CHECK_EQUAL(count<refuse_ticket>(q.submit(of(2), t0)), 1u);
}

BOOST_AUTO_TEST_CASE(idle_credits_elsewhere_are_room) {
  single_backend q({.max_concurrent = 4, .max_waiting = 0});
  q.attach_shard(0, 0, t0);
  q.attach_shard(1, 0, t0);
  q.open(t0);
  q.report(1, 2, 0, 0s, t0);  // shard 1 uses both of its units, shard 0 none
  auto effects = q.submit({.id = 1, .shard = 1}, t0);
  BOOST_CHECK_EQUAL(count<recall_credits>(effects), 2u);
  BOOST_CHECK_EQUAL(count<refuse_ticket>(effects), 0u);
  BOOST_CHECK_EQUAL(count<refuse_ticket>(q.submit({.id = 2, .shard = 1}, t0)), 0u);
  BOOST_CHECK_EQUAL(count<refuse_ticket>(q.submit({.id = 3, .shard = 1}, t0)), 1u);
  BOOST_CHECK_EQUAL(count<grant_permit>(q.give_back(0, 2, t0)), 2u);
}

BOOST_AUTO_TEST_CASE(a_known_id_is_ignored) {
  auto q = open_queue_of(1);
  q.submit(of(1), t0);
  q.submit(of(2), t0);
  BOOST_CHECK(q.submit(of(2), t0).empty());
  BOOST_CHECK_EQUAL(q.waiting(), 1u);
}

BOOST_AUTO_TEST_CASE(cancelled_is_neither_granted_nor_refused) {
  auto q = open_queue_of(1);
  q.submit(of(1), t0);
  q.submit(of(2), t0);
  q.submit(of(3), t0);
  BOOST_CHECK(q.cancel(2, t0).empty());
  BOOST_CHECK(q.cancel(2, t0).empty());
  BOOST_CHECK(q.cancel(1, t0).empty());  // granted already
  BOOST_CHECK_EQUAL(next(q), 3u);
}

BOOST_AUTO_TEST_CASE(a_deadline_refuses_in_time) {
  auto q = open_queue_of(1);
  q.submit(of(1), t0);
  auto t = of(2);
  t.deadline = t0 + 3s;
  q.submit(t, t0);
  BOOST_CHECK(q.next_deadline() <= t0 + 3s);
  BOOST_CHECK(q.advance(t0 + 3s - 1ns).empty());
  BOOST_CHECK(q.next_deadline() == t0 + 3s);
  auto refused = all<refuse_ticket>(q.advance(t0 + 3s));
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_CHECK(refused[0].why == refusal::deadline_passed);
  BOOST_CHECK(q.next_deadline() == never);
}

BOOST_AUTO_TEST_CASE(a_unit_that_comes_late_goes_to_nobody_overdue) {
  auto q = open_queue_of(1);
  q.submit(of(1), t0);
  auto t = of(2);
  t.deadline = t0 + 3s;
  q.submit(t, t0);
  auto effects = q.give_back(0, 1, t0 + 4s);
  BOOST_CHECK_EQUAL(count<grant_permit>(effects), 0u);
  BOOST_CHECK_EQUAL(count<refuse_ticket>(effects), 1u);
}

BOOST_AUTO_TEST_CASE(a_closed_queue_grants_nothing_and_keeps_its_tickets) {
  auto q = open_queue_of(1);
  q.submit(of(1), t0);
  q.submit(of(2), t0);
  q.close(t0);
  BOOST_CHECK(q.close(t0).empty());
  BOOST_CHECK_EQUAL(q.held(), 1u);
  BOOST_CHECK(q.give_back(0, 1, t0).empty());
  BOOST_CHECK_EQUAL(q.held(), 0u);
  BOOST_CHECK_EQUAL(q.waiting(), 1u);
  BOOST_CHECK((are<grant_permit>(q.open(t0))));
}

BOOST_AUTO_TEST_CASE(an_uncontended_queue_stocks_in_equal_shares) {
  single_backend q({.max_concurrent = 7, .max_waiting = 10});
  BOOST_CHECK(q.attach_shard(0, 0, t0).empty());
  q.attach_shard(1, 0, t0);
  auto given = all<give_credits>(q.open(t0));
  BOOST_REQUIRE_EQUAL(given.size(), 2u);
  BOOST_CHECK_EQUAL(given[0].count, 3u);
  BOOST_CHECK_EQUAL(given[1].count, 3u);
  BOOST_CHECK_EQUAL(q.held(), 6u);
  BOOST_CHECK_EQUAL(q.in_use(), 0u);
  // The seventh stayed here, and nobody need be recalled for it.
  BOOST_CHECK((are<grant_permit>(q.submit(of(1), t0))));
}

BOOST_AUTO_TEST_CASE(who_waits_recalls_all_credits_once) {
  single_backend q({.max_concurrent = 8, .max_waiting = 10});
  q.attach_shard(0, 0, t0);
  q.attach_shard(1, 0, t0);
  q.open(t0);
  BOOST_CHECK((are<recall_credits, recall_credits>(q.submit(of(1), t0))));
  BOOST_CHECK(q.submit(of(2), t0).empty());
  BOOST_CHECK_EQUAL(q.in_use(), 8u);  // what a recalled shard holds counts as used
  auto effects = q.give_back(1, 4, t0);
  BOOST_CHECK_EQUAL(count<grant_permit>(effects), 2u);
  // Nobody waits any more: a quarter of the units is free, and both are stocked again.
  BOOST_CHECK_EQUAL(count<give_credits>(effects), 2u);
  BOOST_CHECK_EQUAL(q.held(), 8u);
}

BOOST_AUTO_TEST_CASE(always_waiting_clients_cause_one_recall_and_no_stocking) {
  single_backend q({.max_concurrent = 16, .max_waiting = 1000});
  q.attach_shard(0, 0, t0);
  q.open(t0);
  ticket_id id = 0;
  std::size_t recalls = 0, stockings = 0;
  auto look = [&](const admission_effects& effects) {
    recalls += count<recall_credits>(effects);
    stockings += count<give_credits>(effects);
  };
  for (int client = 0; client < 240; ++client) look(q.submit(of(++id), t0));
  for (int n = 0; n < 5000; ++n) {
    look(q.give_back(0, 1, t0));
    look(q.submit(of(++id), t0));
  }
  BOOST_CHECK_EQUAL(recalls, 1u);
  BOOST_CHECK_EQUAL(stockings, 0u);
}

BOOST_AUTO_TEST_CASE(a_quarter_of_the_units_is_free_before_they_are_given_out) {
  single_backend q({.max_concurrent = 8, .max_waiting = 10});
  q.attach_shard(0, 0, t0);
  q.open(t0);
  for (ticket_id id = 1; id <= 9; ++id) q.submit(of(id), t0);
  q.give_back(0, 8, t0);  // the credits; the first eight are granted
  q.give_back(0, 1, t0);  // and the ninth
  BOOST_CHECK_EQUAL(count<give_credits>(q.give_back(0, 1, t0)), 0u);
  BOOST_CHECK_EQUAL(all<give_credits>(q.give_back(0, 1, t0)).at(0).count, 2u);
}

BOOST_AUTO_TEST_CASE(one_client_too_many_does_not_flap) {
  single_backend q({.max_concurrent = 16, .max_waiting = 1000});
  q.attach_shard(0, 0, t0);
  q.open(t0);
  q.submit(of(1), t0);  // the 17th client
  std::size_t changes = 0;
  for (ticket_id id = 2; id < 5000; ++id) {
    auto back = q.give_back(0, 1, t0), again = q.submit(of(id), t0);
    for (const auto& effects : {back, again}) {
      changes += count<recall_credits>(effects) + count<give_credits>(effects);
    }
  }
  BOOST_CHECK_EQUAL(changes, 0u);
}

BOOST_AUTO_TEST_CASE(fewer_units_than_shards_are_granted_by_ticket) {
  single_backend q({.max_concurrent = 1, .max_waiting = 10});
  q.attach_shard(0, 0, t0);
  q.attach_shard(1, 0, t0);
  BOOST_CHECK(q.open(t0).empty());
  for (ticket_id id = 1; id < 10; ++id) {
    auto shard = static_cast<shard_id>(id % 2);
    BOOST_CHECK((are<grant_permit>(q.submit({.id = id, .shard = shard}, t0))));
    BOOST_CHECK(q.give_back(shard, 1, t0).empty());
  }
}

BOOST_AUTO_TEST_CASE(a_shard_without_credits_does_not_starve) {
  single_backend q({.max_concurrent = 2, .max_waiting = 10});
  q.attach_shard(0, 0, t0);
  BOOST_CHECK_EQUAL(all<give_credits>(q.open(t0))[0].count, 2u);
  q.attach_shard(1, 0, t0);
  auto recalls = all<recall_credits>(q.submit({.id = 1, .shard = 1}, t0));
  BOOST_REQUIRE_EQUAL(recalls.size(), 1u);
  BOOST_CHECK_EQUAL(recalls[0].shard, 0u);
  BOOST_CHECK_EQUAL(count<grant_permit>(q.give_back(0, 1, t0)), 1u);
}

BOOST_AUTO_TEST_CASE(closing_recalls_credits) {
  single_backend q({.max_concurrent = 4, .max_waiting = 10});
  q.attach_shard(0, 0, t0);
  q.open(t0);
  BOOST_CHECK((are<recall_credits>(q.close(t0))));
  BOOST_CHECK(q.give_back(0, 4, t0).empty());
  BOOST_CHECK_EQUAL(q.held(), 0u);
}

BOOST_AUTO_TEST_CASE(units_of_an_earlier_life_count_even_beyond_the_limit) {
  single_backend q({.max_concurrent = 2, .max_waiting = 10});
  q.attach_shard(0, 3, t0);
  q.open(t0);
  BOOST_CHECK_EQUAL(q.held(), 3u);
  BOOST_CHECK_EQUAL(q.in_use(), 3u);
  BOOST_CHECK(q.submit(of(1), t0).empty());
  BOOST_CHECK(q.give_back(0, 1, t0).empty());
  BOOST_CHECK_EQUAL(count<grant_permit>(q.give_back(0, 1, t0)), 1u);
}

BOOST_AUTO_TEST_CASE(more_than_a_shard_holds_does_not_come_back) {
  auto q = open_queue_of(2);
  q.submit(of(1), t0);
  q.give_back(0, 50, t0);
  for (ticket_id id = 2; id < 6; ++id) q.submit(of(id), t0);
  BOOST_CHECK_EQUAL(q.held(), 2u);
}

BOOST_AUTO_TEST_CASE(refuse_all_refuses_everybody_in_order) {
  single_backend q({.max_concurrent = 1, .max_waiting = 10});
  q.submit(of(1, priority::low), t0);
  q.submit(of(2, priority::high, work_class::batch), t0);
  q.submit(of(3, priority::high), t0);
  auto refused = all<refuse_ticket>(q.refuse_all(refusal::model_failed, 7s, t0));
  BOOST_REQUIRE_EQUAL(refused.size(), 3u);
  BOOST_CHECK_EQUAL(refused[0].id, 3u);
  BOOST_CHECK_EQUAL(refused[1].id, 1u);
  BOOST_CHECK_EQUAL(refused[2].id, 2u);
  BOOST_CHECK(refused[0].why == refusal::model_failed && refused[0].retry_after == 7s);
  BOOST_CHECK_EQUAL(q.waiting(), 0u);
}

BOOST_AUTO_TEST_CASE(place_estimates_from_the_measured_rate) {
  auto q = open_queue_of(2);
  for (ticket_id id = 1; id <= 5; ++id) q.submit(of(id), t0);
  BOOST_CHECK_EQUAL(q.place(5, t0)->position, 3u);
  BOOST_CHECK(q.place(5, t0)->estimate == 0s);
  q.report(0, 2, 4, 16s, t0);
  BOOST_CHECK(q.mean_service() == 4s);
  BOOST_CHECK(q.place(5, t0)->estimate == 6s);
  BOOST_CHECK(!q.place(1, t0));
  q.report(0, 2, 1, 14s, t0);  // one more moves it by a tenth
  BOOST_CHECK(q.mean_service() == 5s);
}

BOOST_AUTO_TEST_CASE(activity_is_remembered) {
  single_backend q({.max_concurrent = 2, .max_waiting = 10});
  q.attach_shard(0, 0, t0);
  q.open(t0);
  BOOST_CHECK(q.last_active() < t0);
  q.report(0, 1, 0, 0s, t0 + 1s);
  BOOST_CHECK_EQUAL(q.in_use(), 1u);
  q.report(0, 0, 1, 1s, t0 + 5s);
  q.advance(t0 + 9s);
  BOOST_CHECK(q.last_active() == t0 + 5s);
  q.report(0, 0, 1, 1ms, t0 + 10s);  // began and ended between two reports
  BOOST_CHECK(q.last_active() == t0 + 10s);
}

BOOST_AUTO_TEST_CASE(the_oldest_ticket_is_known) {
  auto q = open_queue_of(1);
  BOOST_CHECK(q.oldest_wait_since() == never);
  q.submit(of(1), t0);
  q.submit(of(2, priority::low), t0 + 1s);
  q.submit(of(3, priority::high), t0 + 2s);
  BOOST_CHECK(q.oldest_wait_since() == t0 + 1s);
  BOOST_CHECK_EQUAL(q.waiting(work_class::realtime), 2u);
  BOOST_CHECK_EQUAL(q.waiting(work_class::batch), 0u);
}

BOOST_AUTO_TEST_SUITE_END()
