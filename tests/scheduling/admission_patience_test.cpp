// Requests whose client does not wait: X-Max-Wait-Seconds: 0.
#include <boost/test/unit_test.hpp>

#include "tests/scheduling/effects.hpp"
#include "tests/scheduling/single_backend.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(admission_patience)

namespace {

constexpr time_point t0{1h};

}  // namespace

BOOST_AUTO_TEST_CASE(who_waits_for_nothing_is_granted_what_is_free) {
  single_backend few(
      {.max_concurrent = 1, .max_waiting = 10});  // fewer units than shards: no credits
  few.attach_shard(0, 0, t0);
  few.attach_shard(1, 0, t0);
  few.open(t0);
  const ticket now_or_never{.id = 1, .shard = 1, .deadline = t0 - 1ms};  // it was under way
  BOOST_CHECK((are<grant_permit>(few.submit(now_or_never, t0))));
  auto refused = all<refuse_ticket>(few.submit({.id = 2, .shard = 0, .deadline = t0}, t0));
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_CHECK(refused[0].why == refusal::deadline_passed);

  single_backend q({.max_concurrent = 10, .max_waiting = 10});
  q.open(t0);
  for (ticket_id id = 1; id <= 8; ++id) q.submit({.id = id}, t0);  // free units, too few to stock
  BOOST_CHECK((are<grant_permit>(q.submit({.id = 9, .deadline = t0}, t0))));
}

BOOST_AUTO_TEST_CASE(who_waits_for_nothing_waits_for_idle_credits) {
  single_backend q({.max_concurrent = 4, .max_waiting = 10});
  q.attach_shard(0, 0, t0);
  q.attach_shard(1, 0, t0);
  q.open(t0);
  q.report(1, 2, 0, 0s, t0);
  q.report(0, 1, 0, 0s, t0);  // one credit of shard 0 is idle
  BOOST_CHECK_EQUAL(count<refuse_ticket>(q.submit({.id = 1, .shard = 1, .deadline = t0}, t0)), 0u);
  BOOST_CHECK((are<refuse_ticket>(q.submit({.id = 2, .shard = 1, .deadline = t0}, t0))));
  BOOST_CHECK_EQUAL(count<grant_permit>(q.give_back(0, 1, t0 + 1ms)), 1u);

  BOOST_CHECK((are<refuse_ticket>(q.submit({.id = 3, .shard = 1, .deadline = t0}, t0 + 2ms))));
}

BOOST_AUTO_TEST_CASE(idle_credits_that_do_not_come_back_are_not_waited_for_long) {
  single_backend q({.max_concurrent = 2, .max_waiting = 10});
  q.attach_shard(0, 0, t0);
  q.attach_shard(1, 0, t0);
  q.open(t0);
  q.report(1, 1, 0, 0s, t0);
  BOOST_CHECK_EQUAL(count<refuse_ticket>(q.submit({.id = 1, .shard = 1, .deadline = t0}, t0)), 0u);
  BOOST_CHECK_EQUAL(count<refuse_ticket>(q.advance(t0 + 100ms)), 1u);
}

BOOST_AUTO_TEST_CASE(a_closed_queue_refuses_who_waits_for_nothing) {
  single_backend q({.max_concurrent = 4, .max_waiting = 10});
  BOOST_CHECK((are<refuse_ticket>(q.submit({.id = 1, .deadline = t0}, t0))));
}

BOOST_AUTO_TEST_SUITE_END()
