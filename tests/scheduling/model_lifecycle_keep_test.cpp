// Tests how long a backend stays loaded without work: as configured, or as requests want it.
#include <boost/test/unit_test.hpp>

#include "scheduling/model_lifecycle.hpp"
#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;
using state = lifecycle_state;

BOOST_AUTO_TEST_SUITE(model_lifecycle_keeps)

namespace {

constexpr time_point t0{1h};

model_lifecycle starting(bool pinned = false) {
  lifecycle_options options;
  options.needs_lease = false;
  options.idle_unload = pinned ? 0s : 300s;
  options.pinned = pinned;
  model_lifecycle life(options);
  life.ensure_ready(t0);
  return life;
}

model_lifecycle ready(bool pinned = false) {
  auto life = starting(pinned);
  life.runtime_ready(1, t0);
  return life;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_last_request_that_says_it_counts) {
  auto life = ready();
  BOOST_CHECK(life.unload_at() == t0 + 300s);
  for (const duration idle : {duration(5s), duration(3600s), duration(0s)}) {
    life.keep_loaded(idle);
    life.activity(t0 + 10s, false, t0 + 10s);  // of one that says nothing
    BOOST_CHECK(life.unload_at() == t0 + 10s + idle);
    BOOST_CHECK(life.next_deadline() == t0 + 10s + idle);
    BOOST_CHECK(life.advance(t0 + 9s + idle).empty());
  }
  BOOST_CHECK((are<drain_if_idle>(life.advance(t0 + 10s))));
  BOOST_CHECK((are<stop_runtime>(life.queue_drained(t0 + 10s))));
}

BOOST_AUTO_TEST_CASE(below_zero_is_for_ever_but_a_lease_that_is_asked_back_goes) {
  lifecycle_options options;
  options.idle_unload = 300s;
  model_lifecycle life(options);
  life.ensure_ready(t0);
  life.lease_granted(4, {{0, 16}}, t0);
  life.runtime_ready(1, t0);
  life.keep_loaded(-1s);
  BOOST_CHECK(life.unload_at() == never);
  BOOST_CHECK(life.next_deadline() == never);
  BOOST_CHECK((are<drain_requests>(life.lease_asked_back(4, t0))));
}

BOOST_AUTO_TEST_CASE(the_usual_time_can_be_wanted_again) {
  for (const duration idle : {duration(0s), duration(1ns), duration(300s)}) {
    lifecycle_options options;
    options.needs_lease = false;
    options.idle_unload = idle;
    model_lifecycle life(options);
    life.ensure_ready(t0);
    life.runtime_ready(1, t0);
    const auto expected = idle == 0s ? never : t0 + idle;
    BOOST_CHECK(life.unload_at() == expected);
    life.keep_loaded(7s);
    BOOST_CHECK(life.unload_at() == t0 + 7s);
    life.keep_loaded(usual_keep(idle));
    BOOST_CHECK(life.unload_at() == expected);
  }
}

BOOST_AUTO_TEST_CASE(a_busy_queue_is_not_asked_all_the_time) {
  auto life = ready();
  life.keep_loaded(0s);
  BOOST_CHECK((are<drain_if_idle>(life.advance(t0))));
  life.queue_not_idle(t0);
  BOOST_CHECK(life.advance(t0 + 100ms).empty());
  const auto again = life.next_deadline();
  BOOST_CHECK(again > t0 + 100ms);
  BOOST_CHECK(again <= t0 + 1s);
  life.activity(again, false, again);
  BOOST_CHECK((are<drain_if_idle>(life.advance(again))));
}

BOOST_AUTO_TEST_CASE(the_next_start_is_as_configured) {
  auto life = ready();
  life.keep_loaded(0s);
  life.advance(t0);
  life.queue_drained(t0);
  life.keep_loaded(0s);  // too late, and not for the next one
  life.runtime_exited(1, exit_reason::asked, t0);
  life.runtime_released(1, t0);
  BOOST_CHECK(life.state() == state::stopped);
  life.keep_loaded(0s);
  life.ensure_ready(t0);
  life.runtime_ready(2, t0);
  BOOST_CHECK(life.unload_at() == t0 + 300s);
}

BOOST_AUTO_TEST_CASE(it_counts_while_it_loads) {
  auto life = starting();
  BOOST_CHECK(life.unload_at() == never);
  life.keep_loaded(2s);
  life.runtime_ready(1, t0);
  BOOST_CHECK(life.unload_at() == t0 + 2s);
}

BOOST_AUTO_TEST_CASE(a_pinned_one_stays) {
  auto life = ready(true);
  life.keep_loaded(0s);
  BOOST_CHECK(life.unload_at() == never);
  BOOST_CHECK(life.next_deadline() == never);
}

BOOST_AUTO_TEST_SUITE_END()
