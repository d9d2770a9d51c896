// A runtime that serves, and what its requests notice of it.
#include <boost/test/unit_test.hpp>

#include "scheduling/model_lifecycle.hpp"
#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;
using state = lifecycle_state;

BOOST_AUTO_TEST_SUITE(model_lifecycle_watch)

namespace {

constexpr time_point t0{1h};
const gpu_set one_gpu{{0, 16}};
constexpr auto gap = runtime_watch::check_gap;

model_lifecycle ready(lifecycle_options options = {}) {
  model_lifecycle life(options);
  life.ensure_ready(t0);
  if (options.needs_lease) life.lease_granted(1, one_gpu, t0);
  life.runtime_ready(1, t0);
  return life;
}

lifecycle_options external() {
  return {.needs_lease = false, .start_timeout = 100s, .pinned = true, .external = true};
}

runtime_signs deadlines(std::uint32_t count, std::uint64_t run = 1) {
  return {.run = run, .deadlines = count};
}

// From the first of two deadlines that passed to the verdict; returns the effects of that.
lifecycle_effects hang(model_lifecycle& life, time_point now) {
  const bool was_ready = life.state() == state::ready;
  const auto suspected = life.runtime_noticed(deadlines(2), now);
  BOOST_CHECK_EQUAL(count<check_runtime>(suspected), 1u);
  BOOST_CHECK_EQUAL(count<drain_requests>(suspected), was_ready ? 1u : 0u);
  BOOST_CHECK(!life.may_admit());
  BOOST_CHECK(life.runtime_checked(1, false, now).empty());
  BOOST_CHECK((are<check_runtime>(life.advance(now + gap))));
  BOOST_CHECK(life.runtime_checked(1, false, now + gap).empty());
  BOOST_CHECK((are<check_runtime>(life.advance(now + 2 * gap))));
  return life.runtime_checked(1, false, now + 2 * gap);
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_hangs_is_killed_recorded_and_started_again) {
  auto life = ready();
  const auto verdict = hang(life, t0);
  BOOST_CHECK((are<stop_runtime>(verdict)));
  BOOST_CHECK(all<stop_runtime>(verdict)[0].grace == 0s);
  BOOST_CHECK(life.state() == state::stopping);
  BOOST_CHECK(life.last_failure() == exit_reason::hung);
  life.ensure_ready(t0 + 1s);
  const auto exit = all<record_exit>(life.runtime_exited(1, exit_reason::asked, t0 + 2s));
  BOOST_REQUIRE_EQUAL(exit.size(), 1u);
  BOOST_CHECK(exit[0].reason == exit_reason::hung && exit[0].is_crash);
  BOOST_CHECK((are<give_lease_back>(life.runtime_released(1, t0 + 2s))));
  BOOST_CHECK(life.state() == state::failed);
  BOOST_CHECK_EQUAL(life.failures(), 1u);
  BOOST_CHECK((are<ask_for_lease>(life.advance(t0 + 3s))));
}

// Nothing more is sent while it is in doubt, and at once again when it is not.
BOOST_AUTO_TEST_CASE(a_sign_of_life_ends_the_suspicion) {
  for (const std::uint32_t count : {1, 2}) {
    for (const bool by_byte : {true, false}) {
      auto life = ready();
      life.runtime_noticed(deadlines(count), t0);
      BOOST_CHECK(life.next_deadline() == t0 + runtime_watch::check_timeout);
      BOOST_CHECK_EQUAL(life.may_admit(), count == 1);
      const auto effects = by_byte ? life.runtime_noticed({.run = 1, .heard = true}, t0)
                                   : life.runtime_checked(1, true, t0);
      BOOST_CHECK_EQUAL(signalbox::test::count<admit_requests>(effects), count - 1);
      BOOST_CHECK_EQUAL(effects.size(), count - 1);
      BOOST_CHECK(life.next_deadline() == never);
      BOOST_CHECK(life.may_admit());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_request_that_was_served_ends_the_row_of_failures) {
  auto life = ready();
  auto now = t0;
  const auto crash_and_start = [&](std::uint64_t run) {
    life.runtime_exited(run, exit_reason::crashed, now);
    life.ensure_ready(now);
    life.runtime_released(run, now);
    now = life.next_deadline();
    life.advance(now);
    life.lease_granted(run + 1, one_gpu, now);
    life.runtime_ready(run + 1, now);
  };
  crash_and_start(1);
  life.runtime_noticed({.run = 2, .heard = true}, now);  // it may die in the middle of it
  BOOST_CHECK_EQUAL(life.failures(), 1u);
  crash_and_start(2);
  BOOST_CHECK_EQUAL(life.failures(), 2u);
  life.runtime_noticed({.run = 2, .completed = true}, now);  // of an earlier run
  BOOST_CHECK_EQUAL(life.failures(), 2u);
  life.runtime_noticed({.run = 3, .completed = true}, now);
  BOOST_CHECK_EQUAL(life.failures(), 0u);
  BOOST_CHECK(life.next_deadline() == never);
  crash_and_start(3);
  BOOST_CHECK_EQUAL(life.failures(), 1u);
}

BOOST_AUTO_TEST_CASE(another_run_is_not_accused) {
  auto life = ready();
  BOOST_CHECK(life.runtime_noticed(deadlines(5, 0), t0).empty());
  life.runtime_noticed(deadlines(2), t0);
  life.runtime_exited(1, exit_reason::crashed, t0);
  life.ensure_ready(t0);
  life.runtime_released(1, t0);
  life.advance(t0 + 1s);
  life.lease_granted(2, one_gpu, t0 + 1s);
  life.runtime_ready(2, t0 + 1s);
  BOOST_CHECK(life.next_deadline() != t0 + 1s);
  BOOST_CHECK(!life.watch().awaits_verdict());
  for (int i = 0; i < 9; ++i) BOOST_CHECK(life.runtime_checked(1, false, t0 + 1s).empty());
  BOOST_CHECK(life.state() == state::ready);
}

BOOST_AUTO_TEST_CASE(while_it_drains_it_may_hang_too) {
  auto life = ready();
  life.lease_asked_back(1, t0);
  const auto verdict = hang(life, t0 + 1s);
  BOOST_CHECK((are<stop_runtime>(verdict)));
  BOOST_CHECK(all<stop_runtime>(verdict)[0].grace == 0s);
  BOOST_CHECK(all<record_exit>(life.runtime_exited(1, exit_reason::asked, t0 + 2s))[0].reason ==
              exit_reason::hung);
}

// A grace of ten seconds for a runtime that hangs would only delay who waits for its memory.
BOOST_AUTO_TEST_CASE(when_deadlines_emptied_it_the_checks_decide_whether_it_gets_a_grace) {
  for (const bool is_healthy : {true, false}) {
    auto life = ready();
    life.lease_asked_back(1, t0);
    life.runtime_noticed(deadlines(2), t0);
    BOOST_CHECK(life.queue_drained(t0).empty());
    BOOST_CHECK(life.state() == state::draining);
    lifecycle_effects verdict;
    for (int i = 0; i < 3 && verdict.empty(); ++i) {
      life.advance(t0 + i * gap);
      verdict = life.runtime_checked(1, is_healthy, t0 + i * gap);
    }
    BOOST_CHECK((are<stop_runtime>(verdict)));
    BOOST_CHECK(all<stop_runtime>(verdict)[0].grace == (is_healthy ? 10s : 0s));
  }
  auto life = ready();  // and if no answer comes, the drain is over one day
  life.lease_asked_back(1, t0);
  life.runtime_noticed(deadlines(2), t0);
  life.queue_drained(t0);
  BOOST_CHECK((are<check_runtime, stop_runtime>(life.advance(t0 + 60s))));
}

BOOST_AUTO_TEST_CASE(after_a_refused_connection_it_admits_when_it_was_found_healthy) {
  auto life = ready();
  BOOST_CHECK(
      (are<drain_requests, check_runtime>(life.runtime_noticed({.run = 1, .refused = true}, t0))));
  BOOST_CHECK(!life.may_admit());
  BOOST_CHECK(life.runtime_checked(1, false, t0).empty());
  life.advance(t0 + gap);
  BOOST_CHECK((are<admit_requests>(life.runtime_checked(1, true, t0 + gap))));
  BOOST_CHECK(life.may_admit());
  BOOST_CHECK(life.runtime_checked(1, true, t0 + 1s).empty());  // once
}

BOOST_AUTO_TEST_CASE(refused_for_long_it_finishes_what_it_has_and_is_given_up) {
  auto life = ready();
  auto now = t0;
  life.runtime_noticed({.run = 1, .refused = true}, now);
  lifecycle_effects effects;
  while (life.state() == state::ready) {
    effects = life.runtime_checked(1, false, now);
    now += 1s;
    life.advance(now);
    BOOST_REQUIRE(now < t0 + 60s);
  }
  BOOST_CHECK((are<drain_requests>(effects)));
  BOOST_CHECK(now - t0 >= runtime_watch::refused_for_long);
  effects = life.queue_drained(now);
  BOOST_CHECK((are<stop_runtime>(effects)));
  BOOST_CHECK(life.last_failure() == exit_reason::hung);
}

// The queue is closed for another reason now: that it is empty counts no more.
BOOST_AUTO_TEST_CASE(a_suspicion_overtakes_the_idle_question) {
  for (const auto& signs : {runtime_signs{.run = 1, .refused = true}, deadlines(2)}) {
    auto life = ready({.idle_unload = 300s});
    life.advance(t0 + 300s);
    life.runtime_noticed(signs, t0 + 300s);
    BOOST_CHECK(life.queue_drained(t0 + 300s).empty());
    BOOST_CHECK(life.state() == state::ready);
    life.runtime_checked(1, true, t0 + 301s);
    BOOST_CHECK((are<drain_if_idle>(life.advance(t0 + 301s))));
  }
}

BOOST_AUTO_TEST_CASE(an_external_runtime_seen_to_fail_is_refused_until_it_is_ready_again) {
  auto life = ready(external());
  life.runtime_exited(1, exit_reason::crashed, t0);
  const auto refused = all<refuse_requests>(life.runtime_released(1, t0));
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_CHECK(refused[0].why == refusal::model_failed && refused[0].until_ready);
  BOOST_CHECK(life.shown_state() == state::failed);
  BOOST_CHECK((are<start_runtime>(life.advance(t0 + 1s))));
  BOOST_CHECK(life.state() == state::starting);
  BOOST_CHECK(life.shown_state() == state::failed && life.refuses_until_ready());
  BOOST_CHECK((are<loaded, admit_requests>(life.runtime_ready(2, t0 + 2s))));
  BOOST_CHECK(life.shown_state() == state::ready && !life.refuses_until_ready());
}

BOOST_AUTO_TEST_CASE(an_external_runtime_that_was_never_there_is_seen_to_fail_once) {
  model_lifecycle life(external());
  life.ensure_ready(t0);
  BOOST_CHECK(life.shown_state() == state::starting);
  const auto refused = all<refuse_requests>(life.runtime_checked(1, false, t0 + 1s));
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_CHECK(refused[0].until_ready && refused[0].retry_after >= 0s);
  BOOST_CHECK(life.runtime_checked(1, false, t0 + 2s).empty());
  BOOST_CHECK(life.shown_state() == state::failed);

  model_lifecycle own({.needs_lease = false});  // it takes its time to load
  own.ensure_ready(t0);
  BOOST_CHECK(own.runtime_checked(1, false, t0 + 1s).empty());
}

BOOST_AUTO_TEST_CASE(looking_for_an_external_runtime_costs_nothing_and_is_not_put_off) {
  model_lifecycle life(external());
  auto now = t0;
  life.ensure_ready(now);
  for (std::uint64_t run = 1; run < 9; ++run) {
    life.runtime_exited(run, exit_reason::start_timeout, now);
    life.runtime_released(run, now);
    BOOST_CHECK(life.next_deadline() == now + 1s);
    now += 1s;
    BOOST_CHECK((are<start_runtime>(life.advance(now))));
  }
}

BOOST_AUTO_TEST_SUITE_END()
