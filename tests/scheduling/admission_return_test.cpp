// Tickets that return to their old place, as their permits were given up to make room.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <vector>

#include "tests/scheduling/return_scene.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(admission_return)

BOOST_AUTO_TEST_CASE(it_stands_before_what_came_after_it) {
  return_scene s({.max_concurrent = 3, .max_waiting = 10});
  for (ticket_id id = 1; id <= 5; ++id) s.submit(of(id), t0 + id * 1ms);
  s.close();
  s.give_up(3, 13, t0 + 1s);
  s.give_up(1, 11, t0 + 1s);
  s.give_up(2, 12, t0 + 1s);
  ids expected{11, 12, 13, 4, 5};
  for (std::uint32_t i = 0; i < expected.size(); ++i) {
    BOOST_TEST(s.position(expected[i], t0 + 1s) == i + 1);
  }
  BOOST_TEST(s.drain(t0 + 1s) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(its_unit_goes_to_the_same_ticket_when_nothing_is_more_urgent) {
  return_scene s({.max_concurrent = 1, .max_waiting = 10});
  s.submit(of(1));
  s.submit(of(2), t0 + 1s);
  s.give_up(1, 11, t0 + 2s);
  BOOST_TEST(s.runs(11));
  BOOST_TEST(!s.runs(2));
  BOOST_TEST((s.grant_of(11).waited == 2s));
  s.submit(of(3, 1, priority::high), t0 + 3s);
  s.give_up(11, 21, t0 + 4s);  // and what is more urgent goes first
  BOOST_TEST(s.runs(3));
  BOOST_TEST(s.position(21, t0 + 4s) == 1u);
  BOOST_TEST(s.position(2, t0 + 4s) == 2u);
}

BOOST_AUTO_TEST_CASE(among_several_principals_fair_share_goes_before_arrival) {
  return_scene s({.max_concurrent = 3, .max_waiting = 10});
  for (ticket_id id = 1; id <= 6; ++id) s.submit(of(id, 1 + (id - 1) % 3));
  s.close();
  s.give_up(3, 13);
  s.give_up(1, 11);
  s.give_up(2, 12);
  BOOST_TEST(s.drain() == (ids{11, 12, 13, 4, 5, 6}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(with_several_principals_its_own_tickets_count_exactly) {
  return_scene s({.max_concurrent = 4, .max_waiting = 20});
  for (ticket_id id = 1; id <= 8; ++id) s.submit(of(id));
  s.submit(of(9, 2));
  s.close();
  for (ticket_id id : {2, 4, 1, 3}) s.give_up(id, 10 + id);
  // The other principal's one ticket is supposed to be the second.
  const ids own{11, 9, 12, 13, 14, 5, 6, 7, 8};
  for (std::uint32_t i = 0; i < own.size(); ++i) {
    if (own[i] != 9) BOOST_TEST(s.position(own[i]) == i + 1);
  }
  s.queue.cancel(13, t0);
  BOOST_TEST(s.position(12) == 3u);
  BOOST_TEST(s.position(14) == 4u);
  BOOST_TEST(s.position(5) == 5u);
}

BOOST_AUTO_TEST_CASE(no_bound_on_waiting_keeps_it_out) {
  return_scene s({.max_concurrent = 2, .max_waiting = 1});
  for (ticket_id id = 1; id <= 3; ++id) s.submit(of(id));
  s.close();
  s.give_up(1, 11);
  s.give_up(2, 12);
  BOOST_TEST(s.queue.waiting() == 3u);
  const auto refused = all<refuse_ticket>(s.queue.submit(of(4), t0));
  BOOST_REQUIRE(refused.size() == 1u);
  BOOST_TEST((refused[0].why == refusal::queue_full));
  BOOST_TEST(s.drain() == (ids{11, 12, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(it_ages_from_its_old_arrival) {
  return_scene s({.max_concurrent = 1, .max_waiting = 10, .max_starvation = 10s});
  s.submit(of(1, 1, priority::low));
  s.close();
  s.give_up(1, 11, t0 + 19s);
  s.submit(of(2, 1, priority::high), t0 + 19s);
  BOOST_TEST((s.queue.oldest_wait_since() == t0));
  BOOST_TEST(s.position(11, t0 + 19s) == 2u);
  BOOST_TEST(s.position(11, t0 + 20s) == 1u);
  BOOST_TEST(s.drain(t0 + 20s) == (ids{11, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(its_deadline_still_counts) {
  return_scene s({.max_concurrent = 1, .max_waiting = 10});
  auto patient = of(1);
  patient.deadline = t0 + 5s;
  s.submit(patient);
  s.close();
  s.give_up(1, 11, t0 + 1s);
  BOOST_TEST(s.queue.advance(t0 + 4s).empty());
  const auto refused = all<refuse_ticket>(s.queue.advance(t0 + 5s));
  BOOST_REQUIRE(refused.size() == 1u);
  BOOST_TEST(refused[0].id == 11u);
  BOOST_TEST((refused[0].why == refusal::deadline_passed));
  BOOST_TEST(s.queue.waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(what_ran_by_credit_waits_from_when_it_took_it) {
  return_scene s({.max_concurrent = 1, .max_waiting = 10});
  s.submit(of(1));
  s.submit(of(2), t0 + 1s);
  s.submit(of(3), t0 + 3s);
  auto by_credit = of(4);
  by_credit.place = queue_place{t0 + 2s};
  s.submit(by_credit, t0 + 4s);
  by_credit.id = 5;
  by_credit.place = queue_place{t0 + 3s};  // behind those that had arrived by then
  s.submit(by_credit, t0 + 4s);
  s.submit(of(6), t0 + 4s);
  BOOST_TEST(s.position(4, t0 + 4s) == 2u);
  BOOST_TEST(s.position(5, t0 + 4s) == 4u);
  BOOST_TEST((s.queue.oldest_wait_since() == t0 + 1s));
  s.close();
  s.give_up(1, 11, t0 + 5s);
  const auto order = s.drain(t0 + 5s);
  BOOST_TEST(order == (ids{11, 2, 4, 3, 5, 6}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(by_credit_it_is_counted_from_its_first_return_on) {
  return_scene s({.max_concurrent = 1, .max_waiting = 10});
  s.submit(of(1));
  auto by_credit = of(2);
  by_credit.place = queue_place{t0};
  s.submit(by_credit, t0 + 1s);
  s.submit(of(3), t0 + 1s);
  s.end(1);
  BOOST_REQUIRE(s.runs(2));
  BOOST_TEST(s.grant_of(2).place.sequence == 2u);
  s.close();
  s.give_up(2, 12, t0 + 2s);
  BOOST_TEST(s.drain(t0 + 2s) == (ids{12, 3}), boost::test_tools::per_element());
}

// While two requests of one principal run, another one is served ten times.
BOOST_AUTO_TEST_CASE(a_principal_that_returns_keeps_its_turns_and_no_more) {
  return_scene s({.max_concurrent = 3, .max_waiting = 100});
  s.submit(of(1, 1));
  s.submit(of(2, 1));
  for (ticket_id id = 101; id <= 120; ++id) s.submit(of(id, 2));
  for (ticket_id id = 101; id <= 110; ++id) s.end(id);
  s.close();
  s.give_up(2, 12);
  s.give_up(1, 11);
  for (ticket_id id = 21; id <= 24; ++id) s.submit(of(id, 1));
  // Its new tickets have nothing saved up, so the two principals take turns.
  BOOST_TEST(
      s.drain() == (ids{11, 12, 112, 21, 113, 22, 114, 23, 115, 24, 116, 117, 118, 119, 120}),
      boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_others_gave_up_counts_though_it_is_told_later) {
  return_scene s({.max_concurrent = 4, .max_waiting = 100});
  s.submit(of(1, 1));
  for (ticket_id id = 101; id <= 106; ++id) s.submit(of(id, 2));
  s.close();
  s.give_up(1, 11);  // the other's counter has its charges yet
  for (ticket_id id : {103, 101, 102}) s.give_up(id, 100 + id);
  BOOST_TEST(s.drain() == (ids{11, 201, 202, 203, 104, 105, 106}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_line_that_was_compacted_takes_it_back) {
  return_scene s({.max_concurrent = 3, .max_waiting = 100000});
  constexpr ticket_id last = 20000;
  for (ticket_id id = 1; id <= last; ++id) s.submit(of(id), t0 + id * 1us);
  s.close();
  s.give_up(2, last + 2, t0 + 1s);
  ids expected{last + 1, last + 2, last + 3};
  for (ticket_id id = 4; id <= last; ++id) {  // nearly all of every block goes
    if (id % 1000 == 0) {
      expected.push_back(id);
    } else {
      s.queue.cancel(id, t0 + 1s);
    }
  }
  s.give_up(3, last + 3, t0 + 1s);
  s.give_up(1, last + 1, t0 + 1s);
  for (std::uint32_t i = 0; i < expected.size(); ++i) {
    BOOST_TEST(s.position(expected[i], t0 + 1s) == i + 1);
  }
  BOOST_TEST(s.drain(t0 + 1s) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
