#include "scheduling/model_lifecycle.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;
using state = lifecycle_state;

namespace signalbox::scheduling {
std::ostream& operator<<(std::ostream& out, lifecycle_state value) {
  return out << to_string(value);
}
}  // namespace signalbox::scheduling

BOOST_AUTO_TEST_SUITE(model_lifecycle_rules)

namespace {

constexpr time_point t0{1h};
const gpu_set one_gpu{{0, 16}};
const lifecycle_options defaults{.start_timeout = 100s,
                                 .stop_grace = 10s,
                                 .drain_timeout = 60s,
                                 .backoff = 1s,
                                 .max_backoff = 60s,
                                 .load_attempts = 3,
                                 .expected_load = 10s};

model_lifecycle starting(lifecycle_options options = defaults) {
  model_lifecycle life(options);
  life.ensure_ready(t0);
  life.lease_granted(1, one_gpu, t0);
  return life;
}

model_lifecycle ready(lifecycle_options options = defaults) {
  auto life = starting(options);
  life.runtime_ready(1, t0);
  return life;
}

// From awaiting_lease to failed; the time does not move.
lifecycle_effects fail_load(model_lifecycle& life, time_point now) {
  life.lease_granted(life.incarnation() + 1, one_gpu, now);
  life.runtime_exited(life.incarnation(), exit_reason::start_failed, now);
  return life.runtime_released(life.incarnation(), now);
}

}  // namespace

BOOST_AUTO_TEST_CASE(from_stopped_to_ready) {
  model_lifecycle life(defaults);
  BOOST_CHECK((are<ask_for_lease>(life.ensure_ready(t0))));
  BOOST_CHECK(life.ensure_ready(t0).empty());
  auto start = all<start_runtime>(life.lease_granted(7, {{1, 16}, {2, 8}}, t0));
  BOOST_REQUIRE_EQUAL(start.size(), 1u);
  BOOST_CHECK_EQUAL(start[0].token, 7u);
  BOOST_CHECK_EQUAL(indexes_of(start[0].gpus), "1,2");
  BOOST_CHECK_EQUAL(start[0].incarnation, 1u);
  BOOST_CHECK(life.ready_in(t0 + 4s) == 6s);
  auto effects = life.runtime_ready(1, t0 + 4s);
  BOOST_CHECK((are<loaded, admit_requests>(effects)));
  BOOST_CHECK(all<loaded>(effects)[0].took == 4s);
  BOOST_CHECK(life.load_estimate() == 4s);
  BOOST_CHECK_EQUAL(life.state(), state::ready);
  BOOST_CHECK(life.next_deadline() == never);
}

BOOST_AUTO_TEST_CASE(without_a_lease_it_starts_at_once) {
  auto options = defaults;
  options.needs_lease = false;
  model_lifecycle life(options);
  auto start = all<start_runtime>(life.ensure_ready(t0));
  BOOST_REQUIRE_EQUAL(start.size(), 1u);
  BOOST_CHECK_EQUAL(start[0].token, 0u);
  life.stop(t0);
  BOOST_CHECK_EQUAL(count<give_lease_back>(life.runtime_released(1, t0)), 0u);
}

BOOST_AUTO_TEST_CASE(the_load_estimate_follows_what_is_measured) {
  auto life = starting();
  life.runtime_ready(1, t0 + 20s);
  life.lease_asked_back(1, t0);
  life.queue_drained(t0);
  life.runtime_exited(1, exit_reason::crashed, t0);
  life.runtime_released(1, t0);
  life.ensure_ready(t0);
  life.lease_granted(2, one_gpu, t0);
  life.runtime_ready(2, t0 + 10s);
  BOOST_CHECK(life.load_estimate() == 17s);
}

BOOST_AUTO_TEST_CASE(events_of_an_older_incarnation_are_ignored) {
  auto life = starting();
  BOOST_CHECK(life.runtime_ready(0, t0).empty());
  BOOST_CHECK(life.runtime_exited(0, exit_reason::crashed, t0).empty());
  BOOST_CHECK(life.runtime_released(0, t0).empty());
  BOOST_CHECK_EQUAL(life.state(), state::starting);
}

BOOST_AUTO_TEST_CASE(asked_back_it_drains_then_stops_then_releases) {
  auto life = ready();
  BOOST_CHECK((are<drain_requests>(life.lease_asked_back(1, t0))));
  BOOST_CHECK_EQUAL(life.state(), state::draining);
  auto stop = life.queue_drained(t0 + 1s);
  BOOST_CHECK((are<stop_runtime>(stop)));
  BOOST_CHECK(all<stop_runtime>(stop)[0].grace == 10s);
  auto exit = all<record_exit>(life.runtime_exited(1, exit_reason::crashed, t0 + 2s));
  BOOST_REQUIRE_EQUAL(exit.size(), 1u);
  BOOST_CHECK(exit[0].reason == exit_reason::asked && !exit[0].is_crash);
  BOOST_CHECK_EQUAL(life.token(), 1u);  // held until the process tree is gone
  BOOST_CHECK((are<give_lease_back>(life.runtime_released(1, t0 + 3s))));
  BOOST_CHECK_EQUAL(life.state(), state::stopped);
  BOOST_CHECK_EQUAL(life.failures(), 0u);
}

BOOST_AUTO_TEST_CASE(an_older_token_asks_for_nothing) {
  auto life = ready();
  life.lease_asked_back(1, t0);
  life.queue_drained(t0);
  life.ensure_ready(t0);
  life.runtime_released(1, t0);
  life.lease_granted(5, one_gpu, t0);
  life.runtime_ready(2, t0);
  BOOST_CHECK(life.lease_asked_back(1, t0).empty());
  BOOST_CHECK(life.lease_asked_back(0, t0).empty());
  BOOST_CHECK_EQUAL(life.state(), state::ready);
}

BOOST_AUTO_TEST_CASE(a_drain_that_takes_too_long_is_cut_off) {
  auto life = ready();
  life.lease_asked_back(1, t0);
  BOOST_CHECK(life.next_deadline() == t0 + 60s);
  BOOST_CHECK(life.advance(t0 + 59s).empty());
  BOOST_CHECK((are<stop_runtime>(life.advance(t0 + 60s))));
  BOOST_CHECK(life.next_deadline() == never);
}

BOOST_AUTO_TEST_CASE(asked_back_it_aborts_a_load_and_asks_again) {
  auto life = starting();
  auto stop = life.lease_asked_back(1, t0);
  BOOST_CHECK((are<stop_runtime>(stop)));
  BOOST_CHECK(all<stop_runtime>(stop)[0].grace == 0s);
  BOOST_CHECK(life.runtime_ready(1, t0).empty());  // it was faster than the signal
  life.runtime_exited(1, exit_reason::crashed, t0);
  BOOST_CHECK_EQUAL(life.failures(), 0u);
  // Its tickets still wait.
  BOOST_CHECK((are<give_lease_back, ask_for_lease>(life.runtime_released(1, t0))));
}

BOOST_AUTO_TEST_CASE(who_waits_meanwhile_is_served_after_the_release) {
  auto life = ready();
  life.lease_asked_back(1, t0);
  life.ensure_ready(t0);
  life.queue_drained(t0);
  life.runtime_exited(1, exit_reason::asked, t0);
  BOOST_CHECK((are<give_lease_back, ask_for_lease>(life.runtime_released(1, t0))));
}

BOOST_AUTO_TEST_CASE(a_late_word_that_somebody_waits_does_not_outlive_being_ready) {
  auto life = ready();
  life.ensure_ready(t0);
  life.lease_asked_back(1, t0);
  life.queue_drained(t0);
  BOOST_CHECK((are<record_exit, give_lease_back>(life.runtime_released(1, t0))));
}

BOOST_AUTO_TEST_CASE(a_lease_that_will_never_fit_refuses_who_waits) {
  model_lifecycle life(defaults);
  life.ensure_ready(t0);
  auto refused = all<refuse_requests>(life.lease_refused(refusal::does_not_fit, t0));
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_CHECK(refused[0].why == refusal::does_not_fit);
  BOOST_CHECK_EQUAL(life.state(), state::failed);
  auto again = all<refuse_requests>(life.ensure_ready(t0 + 10s));
  BOOST_REQUIRE_EQUAL(again.size(), 1u);
  BOOST_CHECK(again[0].why == refusal::does_not_fit && again[0].retry_after == 50s);
  BOOST_CHECK((are<ask_for_lease>(life.ensure_ready(t0 + 60s))));
}

BOOST_AUTO_TEST_CASE(a_failed_load_is_told_released_and_retried_after_the_backoff) {
  auto life = starting();
  auto exit = all<record_exit>(life.runtime_exited(1, exit_reason::oom, t0));
  BOOST_REQUIRE_EQUAL(exit.size(), 1u);
  BOOST_CHECK(exit[0].reason == exit_reason::oom && exit[0].is_crash);
  BOOST_CHECK_EQUAL(life.state(), state::stopping);
  BOOST_CHECK((are<give_lease_back>(life.runtime_released(1, t0))));
  BOOST_CHECK_EQUAL(life.state(), state::failed);
  BOOST_CHECK(life.ready_in(t0) == 11s);
  BOOST_CHECK(life.next_deadline() == t0 + 1s);
  BOOST_CHECK(life.advance(t0 + 999ms).empty());
  BOOST_CHECK((are<ask_for_lease>(life.advance(t0 + 1s))));
}

BOOST_AUTO_TEST_CASE(a_load_that_takes_too_long_is_stopped_and_told_once) {
  auto life = starting();
  BOOST_CHECK(life.next_deadline() == t0 + 100s);
  auto effects = life.advance(t0 + 100s);
  BOOST_CHECK((are<record_exit, stop_runtime>(effects)));
  BOOST_CHECK(all<record_exit>(effects)[0].reason == exit_reason::start_timeout);
  BOOST_CHECK(life.runtime_exited(1, exit_reason::crashed, t0).empty());
  life.runtime_released(1, t0);
  BOOST_CHECK_EQUAL(life.state(), state::failed);
  BOOST_CHECK_EQUAL(life.failures(), 1u);
}

BOOST_AUTO_TEST_CASE(nobody_waits_nothing_is_retried) {
  auto life = starting();
  life.activity(t0, true, t0);
  life.runtime_exited(1, exit_reason::start_failed, t0);
  life.activity(t0, false, t0);
  life.runtime_released(1, t0);
  BOOST_CHECK_EQUAL(life.state(), state::failed);
  BOOST_CHECK(life.next_deadline() == t0 + 1s);
  BOOST_CHECK(life.advance(t0 + 1s).empty());
  BOOST_CHECK_EQUAL(life.state(), state::stopped);
  BOOST_CHECK(life.next_deadline() == never);
}

BOOST_AUTO_TEST_CASE(the_backoff_doubles_up_to_its_maximum) {
  auto options = defaults;
  options.load_attempts = 100;
  model_lifecycle life(options);
  auto now = t0;
  life.ensure_ready(now);
  for (auto expected : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s}) {
    BOOST_CHECK_EQUAL(count<refuse_requests>(fail_load(life, now)), 0u);
    BOOST_CHECK(life.next_deadline() == now + expected);
    now += expected;
    life.advance(now);
  }
}

BOOST_AUTO_TEST_CASE(after_enough_failures_the_breaker_is_open_until_one_probe) {
  model_lifecycle life(defaults);
  auto now = t0;
  life.ensure_ready(now);
  for (int n = 0; n < 2; ++n) {
    fail_load(life, now);
    now = life.next_deadline();
    life.advance(now);
  }
  auto refused = all<refuse_requests>(fail_load(life, now));
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_CHECK(refused[0].why == refusal::model_failed && refused[0].retry_after == 4s);
  BOOST_CHECK(life.next_deadline() == never);  // no retry by itself, and it stays failed
  BOOST_CHECK(all<refuse_requests>(life.ensure_ready(now + 1s))[0].retry_after == 3s);
  BOOST_CHECK((are<ask_for_lease>(life.ensure_ready(now + 4s))));
  BOOST_CHECK(life.ensure_ready(now + 4s).empty());
  now += 4s;
  BOOST_CHECK(all<refuse_requests>(fail_load(life, now))[0].retry_after == 8s);
}

BOOST_AUTO_TEST_CASE(a_ready_runtime_that_exits_crashed) {
  auto life = ready();
  auto effects = life.runtime_exited(1, exit_reason::segfault, t0);
  BOOST_CHECK((are<drain_requests, record_exit>(effects)));
  BOOST_CHECK(all<record_exit>(effects)[0].is_crash);
  life.ensure_ready(t0);  // somebody waits
  BOOST_CHECK((are<give_lease_back>(life.runtime_released(1, t0))));
  BOOST_CHECK_EQUAL(life.state(), state::failed);
  BOOST_CHECK((are<ask_for_lease>(life.advance(t0 + 1s))));
  auto asked = ready();
  BOOST_CHECK(all<record_exit>(asked.runtime_exited(1, exit_reason::asked, t0))[0].reason ==
              exit_reason::crashed);
}

BOOST_AUTO_TEST_CASE(after_a_crash_nobody_waits_for_it_is_stopped_once_the_backoff_is_over) {
  auto life = ready();
  life.runtime_exited(1, exit_reason::crashed, t0);
  life.runtime_released(1, t0);
  BOOST_CHECK(life.advance(t0 + 999ms).empty());
  BOOST_CHECK_EQUAL(life.state(), state::failed);
  BOOST_CHECK(life.advance(t0 + 1s).empty());
  BOOST_CHECK_EQUAL(life.state(), state::stopped);
  BOOST_CHECK_EQUAL(life.failures(), 1u);  // the next one still waits longer
  BOOST_CHECK((are<ask_for_lease>(life.ensure_ready(t0 + 2s))));
  fail_load(life, t0 + 2s);
  BOOST_CHECK(life.next_deadline() == t0 + 4s);
}

BOOST_AUTO_TEST_CASE(a_crash_while_draining_is_a_crash) {
  auto life = ready();
  life.lease_asked_back(1, t0);
  auto exit = all<record_exit>(life.runtime_exited(1, exit_reason::crashed, t0));
  BOOST_REQUIRE_EQUAL(exit.size(), 1u);
  BOOST_CHECK(exit[0].is_crash);
  BOOST_CHECK(life.queue_drained(t0).empty());
  BOOST_CHECK((are<give_lease_back>(life.runtime_released(1, t0))));
}

BOOST_AUTO_TEST_CASE(becoming_ready_alone_forgives_no_failure) {
  auto life = starting();
  auto now = t0;
  for (std::uint32_t n = 1; n <= 3; ++n) {
    life.runtime_ready(n, now);
    life.runtime_exited(n, exit_reason::crashed, now + 59s);
    BOOST_CHECK_EQUAL(life.failures(), n);
    life.ensure_ready(now);
    auto effects = life.runtime_released(n, now);
    BOOST_CHECK_EQUAL(count<refuse_requests>(effects), n == 3 ? 1u : 0u);
    now += 60s;
    life.ensure_ready(now);
    life.lease_granted(n + 1, one_gpu, now);
  }
  life.runtime_ready(4, now);
  BOOST_CHECK(life.next_deadline() == now + 60s);
  life.advance(now + 60s);
  BOOST_CHECK_EQUAL(life.failures(), 0u);
  BOOST_CHECK(life.next_deadline() == never);
  life.runtime_exited(4, exit_reason::crashed, now + 61s);
  BOOST_CHECK_EQUAL(life.failures(), 1u);
}

BOOST_AUTO_TEST_CASE(an_idle_model_is_unloaded_if_the_queue_agrees) {
  auto options = defaults;
  options.idle_unload = 300s;
  auto life = ready(options);
  life.activity(t0 + 100s, false, t0 + 150s);
  BOOST_CHECK(life.next_deadline() == t0 + 400s);
  BOOST_CHECK(life.advance(t0 + 399s).empty());
  BOOST_CHECK((are<drain_if_idle>(life.advance(t0 + 400s))));
  BOOST_CHECK(life.advance(t0 + 401s).empty());
  auto busy = life;
  BOOST_CHECK(busy.queue_not_idle(t0 + 401s).empty());
  BOOST_CHECK_EQUAL(busy.state(), state::ready);
  BOOST_CHECK(busy.next_deadline() == t0 + 701s);
  BOOST_CHECK(busy.queue_drained(t0 + 402s).empty());  // nothing was asked
  BOOST_CHECK((are<stop_runtime>(life.queue_drained(t0 + 401s))));
}

BOOST_AUTO_TEST_CASE(an_idle_question_without_an_answer_is_asked_again) {
  auto options = defaults;
  options.idle_unload = 300s;
  options.drain_timeout = 0s;  // it is for requests that run when the backend must stop
  auto life = ready(options);
  life.advance(t0 + 300s);
  BOOST_CHECK(life.next_deadline() == t0 + 305s);
  BOOST_CHECK((are<drain_if_idle>(life.advance(t0 + 305s))));
  BOOST_CHECK_EQUAL(life.state(), state::ready);
  BOOST_CHECK((are<stop_runtime>(life.queue_drained(t0 + 305s))));
}

BOOST_AUTO_TEST_CASE(an_order_to_stop_is_kept) {
  auto life = ready();
  BOOST_CHECK((are<drain_requests>(life.stop(t0))));
  BOOST_CHECK(life.ensure_ready(t0).empty());
  BOOST_CHECK((are<stop_runtime>(life.queue_drained(t0))));
  life.ensure_ready(t0);
  life.runtime_exited(1, exit_reason::asked, t0);
  BOOST_CHECK((are<give_lease_back>(life.runtime_released(1, t0))));
  BOOST_CHECK_EQUAL(life.state(), state::stopped);

  model_lifecycle waiting(defaults);
  waiting.ensure_ready(t0);
  BOOST_CHECK((are<stop_asking>(waiting.stop(t0))));
  BOOST_CHECK((are<stop_runtime>(starting().stop(t0))));
}

BOOST_AUTO_TEST_CASE(a_pinned_model_comes_back_by_itself) {
  auto options = defaults;
  options.pinned = true;
  auto life = ready(options);
  life.runtime_exited(1, exit_reason::crashed, t0);
  life.activity(t0, true, t0);
  life.activity(t0, false, t0);
  life.runtime_released(1, t0);
  BOOST_CHECK(life.next_deadline() == t0 + 1s);
  BOOST_CHECK((are<ask_for_lease>(life.advance(t0 + 1s))));
  life.stop(t0);
  BOOST_CHECK_EQUAL(life.state(), state::stopped);
  BOOST_CHECK(life.next_deadline() == never);
}

BOOST_AUTO_TEST_CASE(a_release_without_an_exit_is_one) {
  auto life = ready();
  auto effects = life.runtime_released(1, t0);
  BOOST_CHECK((are<drain_requests, record_exit, give_lease_back>(effects)));
  BOOST_CHECK_EQUAL(life.state(), state::failed);
}

BOOST_AUTO_TEST_SUITE_END()
