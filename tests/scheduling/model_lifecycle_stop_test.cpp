// Tests the stop of a backend that lets requests in flight end.
#include <boost/test/unit_test.hpp>

#include "scheduling/model_lifecycle.hpp"
#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;
using state = lifecycle_state;

BOOST_AUTO_TEST_SUITE(model_lifecycle_stops)

namespace {

constexpr time_point t0{1h};

model_lifecycle ready(bool pinned = false) {
  lifecycle_options options;
  options.pinned = pinned;
  model_lifecycle life(options);
  life.ensure_ready(t0);
  life.lease_granted(4, {{0, 16}}, t0);
  life.runtime_ready(1, t0);
  return life;
}

}  // namespace

BOOST_AUTO_TEST_CASE(it_serves_until_the_queue_has_nothing) {
  for (const bool pinned : {false, true}) {
    auto life = ready(pinned);
    BOOST_CHECK((are<drain_if_idle>(life.stop_when_idle(t0))));
    BOOST_CHECK(life.queue_not_idle(t0).empty());
    BOOST_CHECK(life.state() == state::ready);
    const auto again = life.next_deadline();
    BOOST_CHECK(again > t0);
    BOOST_CHECK(again <= t0 + 1s);
    // Activity does not delay the next question.
    life.activity(again, true, again);
    BOOST_CHECK((are<drain_if_idle>(life.advance(again))));
    BOOST_CHECK((are<stop_runtime>(life.queue_drained(again))));
    life.runtime_exited(1, exit_reason::asked, again);
    BOOST_CHECK((are<give_lease_back>(life.runtime_released(1, again))));
    BOOST_CHECK(life.state() == state::stopped);
    BOOST_CHECK(life.next_deadline() == never);
  }
}

BOOST_AUTO_TEST_CASE(a_request_that_comes_while_it_closes_is_for_the_next_one) {
  auto life = ready();
  life.stop_when_idle(t0);
  life.ensure_ready(t0);  // the idle queue closed, and then a ticket came
  life.queue_drained(t0);
  life.runtime_exited(1, exit_reason::asked, t0);
  BOOST_CHECK((are<give_lease_back>(life.runtime_released(1, t0))));
  BOOST_CHECK(life.state() == state::stopped);
}

BOOST_AUTO_TEST_CASE(a_crash_meanwhile_is_its_end) {
  auto life = ready(true);
  life.stop_when_idle(t0);
  life.queue_not_idle(t0);
  life.runtime_exited(1, exit_reason::crashed, t0);
  life.runtime_released(1, t0);
  BOOST_CHECK(life.state() == state::stopped);
  BOOST_CHECK(life.next_deadline() == never);
}

BOOST_AUTO_TEST_CASE(what_is_not_ready_stops_at_once) {
  model_lifecycle life(lifecycle_options{});
  life.ensure_ready(t0);
  BOOST_CHECK((are<stop_asking>(life.stop_when_idle(t0))));
  BOOST_CHECK(life.state() == state::stopped);
  life.ensure_ready(t0);
  life.lease_granted(4, {{0, 16}}, t0);
  BOOST_CHECK((are<stop_runtime>(life.stop_when_idle(t0))));
}

BOOST_AUTO_TEST_CASE(an_order_to_stop_at_once_is_heard_while_it_waits_to_be_idle) {
  auto life = ready();
  life.stop_when_idle(t0);
  life.queue_not_idle(t0);
  BOOST_CHECK((are<drain_requests>(life.stop(t0))));
  BOOST_CHECK(life.state() == state::draining);
}

BOOST_AUTO_TEST_SUITE_END()
