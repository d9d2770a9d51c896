// Tests an operator's orders to start and to stop a backend.
#include <boost/test/unit_test.hpp>

#include "scheduling/model_lifecycle.hpp"
#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;
using state = lifecycle_state;

BOOST_AUTO_TEST_SUITE(model_lifecycle_orders)

namespace {

constexpr time_point t0{1h};
const gpu_set one_gpu{{0, 16}};

model_lifecycle ready(bool pinned = false) {
  lifecycle_options options;
  options.pinned = pinned;
  model_lifecycle life(options);
  life.ensure_ready(t0);
  life.lease_granted(4, one_gpu, t0);
  life.runtime_ready(1, t0);
  return life;
}

void fail_start(model_lifecycle& life, std::uint64_t incarnation, time_point now) {
  life.runtime_exited(incarnation, exit_reason::start_failed, now);
  life.runtime_released(incarnation, now);
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_ordered_start_goes_on_although_nobody_waits) {
  model_lifecycle life(lifecycle_options{});
  BOOST_CHECK(life.ordered() == start_order::none);
  BOOST_CHECK((are<ask_for_lease>(life.order_start(t0))));
  BOOST_CHECK(life.activity(t0, false, t0).empty());
  BOOST_CHECK(life.state() == state::awaiting_lease);
  BOOST_CHECK((are<start_runtime>(life.lease_granted(4, one_gpu, t0))));
  BOOST_CHECK(life.ordered() == start_order::going_on);
  life.runtime_ready(1, t0 + 5s);
  BOOST_CHECK(life.ordered() == start_order::done);
  BOOST_CHECK(life.state() == state::ready);
}

BOOST_AUTO_TEST_CASE(one_that_is_ready_counts_as_used) {
  lifecycle_options options;
  options.idle_unload = 60s;
  model_lifecycle life(options);
  life.ensure_ready(t0);
  life.lease_granted(4, one_gpu, t0);
  life.runtime_ready(1, t0);
  BOOST_CHECK(life.order_start(t0 + 50s).empty());
  BOOST_CHECK(life.ordered() == start_order::done);
  BOOST_CHECK(life.unload_at() == t0 + 110s);
}

BOOST_AUTO_TEST_CASE(without_room_it_gives_up_in_time) {
  model_lifecycle life(lifecycle_options{});
  life.order_start(t0);
  BOOST_CHECK(life.next_deadline() == t0 + 120s);
  BOOST_CHECK(life.advance(t0 + 119s).empty());
  BOOST_CHECK((are<stop_asking>(life.advance(t0 + 120s))));
  BOOST_CHECK(life.ordered() == start_order::no_room);
  BOOST_CHECK(life.state() == state::stopped);
  BOOST_CHECK(life.next_deadline() == never);
}

BOOST_AUTO_TEST_CASE(whoever_waits_goes_on_waiting_when_the_order_gives_up) {
  model_lifecycle life(lifecycle_options{});
  life.ensure_ready(t0);
  BOOST_CHECK(life.next_deadline() == never);
  BOOST_CHECK((are<stop_asking, ask_for_lease>(life.order_start(t0 + 10s))));
  BOOST_CHECK(life.advance(t0 + 129s).empty());
  BOOST_CHECK(life.ordered() == start_order::going_on);
  life.ensure_ready(t0 + 129s);
  BOOST_CHECK(life.advance(t0 + 130s).empty());
  BOOST_CHECK(life.ordered() == start_order::no_room);
  BOOST_CHECK(life.state() == state::awaiting_lease);
  BOOST_CHECK(life.next_deadline() == never);
}

BOOST_AUTO_TEST_CASE(no_backoff_delays_it_and_a_failure_ends_it) {
  lifecycle_options options;
  options.load_attempts = 1;
  model_lifecycle life(options);
  life.ensure_ready(t0);
  life.lease_granted(4, one_gpu, t0);
  fail_start(life, 1, t0);
  BOOST_CHECK(life.state() == state::failed);
  BOOST_CHECK((are<ask_for_lease>(life.order_start(t0))));
  life.lease_granted(5, one_gpu, t0);
  fail_start(life, 2, t0);
  BOOST_CHECK(life.ordered() == start_order::failed);
  BOOST_CHECK(life.state() == state::failed);
  BOOST_CHECK(life.advance(t0 + 1h).empty());  // nobody else asks for it
}

BOOST_AUTO_TEST_CASE(a_need_that_no_gpu_has_ends_it) {
  model_lifecycle life(lifecycle_options{});
  life.order_start(t0);
  life.lease_refused(refusal::does_not_fit, t0);
  BOOST_CHECK(life.ordered() == start_order::failed);
  BOOST_CHECK(life.state() == state::failed);
}

BOOST_AUTO_TEST_CASE(ordered_while_it_ends_it_starts_again) {
  auto drains = ready();
  drains.lease_asked_back(4, t0);
  BOOST_CHECK(drains.order_start(t0).empty());
  drains.queue_drained(t0);
  BOOST_CHECK((are<record_exit, give_lease_back, ask_for_lease>(drains.runtime_released(1, t0))));
  BOOST_CHECK(drains.state() == state::awaiting_lease);

  auto dies = ready();
  dies.runtime_exited(1, exit_reason::crashed, t0);
  BOOST_CHECK(dies.order_start(t0).empty());
  dies.runtime_released(1, t0);
  BOOST_CHECK(dies.state() == state::awaiting_lease);  // not backing off
  BOOST_CHECK(dies.ordered() == start_order::going_on);
}

BOOST_AUTO_TEST_CASE(a_stop_overrules_it) {
  for (const bool at_once : {false, true}) {
    model_lifecycle life(lifecycle_options{});
    life.order_start(t0);
    life.lease_granted(4, one_gpu, t0);
    BOOST_CHECK((are<stop_runtime>(at_once ? life.stop_at_once(t0) : life.stop(t0))));
    BOOST_CHECK(life.ordered() == start_order::overruled);
    life.runtime_released(1, t0);
    BOOST_CHECK(life.state() == state::stopped);
  }
}

BOOST_AUTO_TEST_CASE(a_stop_at_once_waits_for_no_request) {
  for (const bool pinned : {false, true}) {
    auto life = ready(pinned);
    const auto effects = life.stop_at_once(t0);
    BOOST_REQUIRE((are<drain_requests, stop_runtime>(effects)));
    BOOST_CHECK(all<stop_runtime>(effects)[0].grace == 10s);
    BOOST_CHECK(life.state() == state::stopping);
    const auto exit = all<record_exit>(life.runtime_exited(1, exit_reason::crashed, t0));
    BOOST_REQUIRE_EQUAL(exit.size(), 1u);
    BOOST_CHECK(!exit[0].is_crash);
    BOOST_CHECK((are<give_lease_back>(life.runtime_released(1, t0))));
    BOOST_CHECK(life.state() == state::stopped);
    BOOST_CHECK(life.failures() == 0);
  }
  auto drains = ready();
  drains.stop(t0);
  BOOST_CHECK((are<stop_runtime>(drains.stop_at_once(t0))));
  model_lifecycle idle(lifecycle_options{});
  BOOST_CHECK(idle.stop_at_once(t0).empty());
}

BOOST_AUTO_TEST_CASE(asked_back_by_an_order_it_stays_away) {
  auto life = ready(true);
  BOOST_CHECK(life.lease_asked_back(3, t0, true).empty());  // an older token
  BOOST_CHECK((are<drain_requests>(life.lease_asked_back(4, t0, true))));
  life.queue_drained(t0);
  BOOST_CHECK((are<record_exit, give_lease_back>(life.runtime_released(1, t0))));
  BOOST_CHECK(life.state() == state::stopped);
  BOOST_CHECK((are<ask_for_lease>(life.ensure_ready(t0))));
}

BOOST_AUTO_TEST_CASE(what_was_stopped_starts_for_the_next_who_asks) {
  auto life = ready(true);
  life.stop_at_once(t0);
  life.runtime_released(1, t0);
  BOOST_CHECK(life.next_deadline() == never);  // pinned, and yet it stays stopped
  BOOST_CHECK((are<ask_for_lease>(life.ensure_ready(t0))));
}

BOOST_AUTO_TEST_SUITE_END()
