// The rules of scheduling/training.hpp for a trainer that freezes, ends or does not start.
#include <boost/test/unit_test.hpp>

#include "tests/scheduling/training_scene.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;
using phase = training_phase;
using word = training_word;

BOOST_AUTO_TEST_SUITE(training_faults)

BOOST_AUTO_TEST_CASE(frozen_is_stopped_and_started_again_with_backoff) {
  training_scene s;
  s.run();
  s.says(word::training, 1);
  s.now += 300s;
  BOOST_CHECK(s.says(word::training, 1).empty());
  s.now += 1s;
  const auto effects = s.says(word::training, 1);
  BOOST_CHECK((are<record_training_crash, stop_trainer>(effects)));
  BOOST_CHECK(all<record_training_crash>(effects)[0].reason == exit_reason::hung);
  BOOST_CHECK((are<give_lease_back>(s.exited(143))));  // by our order, so it is not held
  BOOST_CHECK((are<ask_for_lease>(s.wait())));
  BOOST_CHECK(s.now == training_begins + 311s);
}

BOOST_AUTO_TEST_CASE(frozen_is_judged_by_our_clock) {
  training_scene s;
  s.run();
  for (const double hour : {-3600., 3600., 0., 1e18, -1e18, 5.}) {
    s.says(word::training, hour);
    s.now += 300s;
  }
  BOOST_CHECK(s.says(word::training, 6).empty());
  BOOST_CHECK_EQUAL(s.core.failures(), 0u);
  BOOST_CHECK(s.core.time_seen_at() == s.now);
}

BOOST_AUTO_TEST_CASE(frozen_counts_from_the_start_of_the_run) {
  training_scene s;
  s.missing();
  s.core.select("a", s.now);
  s.says(word::training, 1);  // of an earlier run
  s.now += 1000s;
  s.says(word::training, 1);
  s.granted();
  s.running();
  s.now += 300s;
  BOOST_CHECK(s.says(word::training, 1).empty());
  s.now += 1s;
  BOOST_CHECK_EQUAL(count<stop_trainer>(s.says(word::training, 1)), 1u);
}

BOOST_AUTO_TEST_CASE(only_a_trainer_that_runs_can_be_frozen) {
  training_scene s;
  s.run();
  s.says(word::training, 1);
  s.requests(1);
  s.stopped_by_us();
  s.now += 1000s;
  s.says(word::training, 1);
  s.now += 10s;
  BOOST_CHECK(s.says(word::training, 1).empty());
  BOOST_CHECK_EQUAL(s.core.failures(), 0u);
}

BOOST_AUTO_TEST_CASE(not_frozen_without_a_look_a_time_or_the_word) {
  training_scene s;
  s.run();
  s.says(word::training, 1);
  for (int i = 0; i < 10; ++i) {  // the disk does not answer
    s.now += 100s;
    BOOST_CHECK(s.says(word::unreadable).empty());
  }
  BOOST_CHECK(s.says(word::training, 1).empty());  // the trainer may have waited for it, too
  s.now += 200s;
  BOOST_CHECK(s.says(word::training, 1).empty());
  BOOST_CHECK(s.says(word::other, 1).empty());
  s.now += 200s;
  s.core.status_read({"a", word::training, std::nullopt}, s.now);
  s.now += 200s;
  s.core.status_read({"a", word::training, std::nullopt}, s.now);
  s.now += 200s;
  BOOST_CHECK(s.core.status_read({"a", word::training, std::nullopt}, s.now).empty());
}

BOOST_AUTO_TEST_CASE(by_hand_stays_stopped) {
  for (const int code : {0, 130, 137, 143}) {
    training_scene s;
    s.run();
    const auto effects = s.exited(code);
    BOOST_CHECK((are<persist_selection, give_lease_back>(effects)));
    BOOST_CHECK((kept(effects) == training_selection{"a", true, false}));
    s.requests(1);
    s.requests(0);
    BOOST_CHECK(s.core.next_deadline() == never);
    s.now += 24h;
    BOOST_CHECK(s.exited(code).empty());
    BOOST_CHECK(s.advance().empty());
    BOOST_CHECK((are<persist_selection, ask_for_lease>(s.core.start(s.now))));
  }
}

BOOST_AUTO_TEST_CASE(by_hand_ends_with_a_start_by_hand_or_a_selection) {
  training_scene s;
  s.run();
  s.exited(0);
  BOOST_CHECK((are<persist_selection, ask_for_lease>(s.core.select("a", s.now))));
  s.granted();
  s.running();
  s.exited(0);
  const auto effects = s.running();
  BOOST_CHECK((are<persist_selection, ask_for_lease>(effects)));
  BOOST_CHECK(!kept(effects).is_held);
}

BOOST_AUTO_TEST_CASE(an_oom_kill_and_any_other_end_are_crashes) {
  training_scene s;
  s.run();
  auto effects = s.exited(137, true);
  BOOST_CHECK((are<record_training_crash, give_lease_back>(effects)));
  BOOST_CHECK(all<record_training_crash>(effects)[0].reason == exit_reason::oom);
  s.wait();
  s.granted();
  s.running();
  effects = s.exited(1);
  BOOST_CHECK(all<record_training_crash>(effects)[0].exit_code == 1);
  s.wait();
  s.granted();
  s.running();
  effects = s.missing();
  BOOST_CHECK(!all<record_training_crash>(effects)[0].exit_code);
  BOOST_CHECK(s.core.last_failure() == exit_reason::crashed);
}

BOOST_AUTO_TEST_CASE(backoff_doubles_in_a_crash_loop_and_is_told) {
  training_scene s;
  s.run();
  for (const auto expected : {10s, 20s, 40s, 80s, 80s}) {
    const auto crash = all<record_training_crash>(s.exited(1));
    BOOST_REQUIRE_EQUAL(crash.size(), 1u);
    BOOST_CHECK(crash[0].retry_after == expected);
    BOOST_CHECK(s.core.backoff_left(s.now) == expected);
    BOOST_CHECK((are<ask_for_lease>(s.wait())));
    s.granted();
    s.running();
  }
  BOOST_CHECK_EQUAL(s.core.failures(), 5u);
  s.now += 80s;  // it works
  BOOST_CHECK(all<record_training_crash>(s.exited(1))[0].retry_after == 10s);
}

BOOST_AUTO_TEST_CASE(backoff_ends_by_an_order) {
  training_scene s;
  s.run();
  s.exited(1);
  BOOST_CHECK((are<ask_for_lease>(s.core.start(s.now))));
  BOOST_CHECK_EQUAL(s.core.failures(), 0u);
}

BOOST_AUTO_TEST_CASE(backoff_counts_what_a_frozen_run_has_worked) {
  training_scene s;
  s.run();
  for (const auto expected : {10s, 20s}) {  // each ran for longer than max_backoff, but froze
    s.says(word::training, 1);
    s.now += 200s;
    s.says(word::training, 1);
    s.now += 101s;
    const auto crash = all<record_training_crash>(s.says(word::training, 1));
    BOOST_REQUIRE_EQUAL(crash.size(), 1u);
    BOOST_CHECK(crash[0].retry_after == expected);
    s.exited(143);
    s.wait();
    s.granted();
    s.running();
  }
}

BOOST_AUTO_TEST_CASE(a_start_that_fails_or_shows_nothing_is_a_crash) {
  training_scene s;
  s.missing();
  s.core.select("a", s.now);
  s.granted();
  BOOST_CHECK(s.core.start_failed(0, s.now).empty());
  const auto failed = s.core.start_failed(1, s.now);
  BOOST_CHECK((are<give_lease_back, record_training_crash>(failed)));
  s.wait();
  s.granted();
  const auto silent = s.wait();
  BOOST_CHECK((are<record_training_crash, stop_trainer>(silent)));
  BOOST_CHECK(all<record_training_crash>(silent)[0].reason == exit_reason::start_timeout);
  BOOST_CHECK((are<give_lease_back>(s.exited(137))));
  BOOST_CHECK(s.core.phase() == phase::waiting);
}

BOOST_AUTO_TEST_CASE(what_was_seen_before_an_order_is_not_its_outcome) {
  training_scene s;
  s.missing();
  s.core.select("a", s.now);
  s.granted();
  BOOST_CHECK(s.core.trainer_seen({0, trainer_state::exited, 1}, s.now).empty());
  BOOST_CHECK(s.core.phase() == phase::starting);
}

BOOST_AUTO_TEST_CASE(a_lease_that_is_never_granted) {
  training_scene s;
  s.missing();
  s.core.select("a", s.now);
  BOOST_CHECK(s.core.lease_refused(s.now).empty());
  BOOST_CHECK(s.core.next_deadline() == s.now + 80s);
  BOOST_CHECK((are<ask_for_lease>(s.wait())));
}

BOOST_AUTO_TEST_CASE(adopted_without_a_grant_is_stopped) {
  training_scene s(quick_training(), {"a"});
  s.running();
  const auto effects = s.wait();
  BOOST_CHECK(s.now == training_begins + 30s);
  BOOST_CHECK((are<persist_selection, stop_asking, stop_trainer>(effects)));
  s.exited(143);
  BOOST_CHECK(s.core.next_deadline() == s.now + 600s);
}

BOOST_AUTO_TEST_CASE(started_by_hand_against_requests_is_stopped) {
  training_scene s;
  s.run();
  s.requests(1);
  s.stopped_by_us();
  BOOST_CHECK((are<stop_trainer>(s.running())));
}

BOOST_AUTO_TEST_CASE(one_that_does_not_end_is_killed_again) {
  training_scene s;
  s.run();
  s.core.clear(s.now);
  for (int i = 0; i < 3; ++i) {
    s.running();
    const auto again = all<stop_trainer>(s.wait());
    BOOST_REQUIRE_EQUAL(again.size(), 1u);
    BOOST_CHECK(again[0].grace == 0s);
    BOOST_CHECK_EQUAL(again[0].order, 2u);
  }
  BOOST_CHECK(s.core.token() != 0u);
  BOOST_CHECK((are<give_lease_back>(s.exited(137))));
}

BOOST_AUTO_TEST_SUITE_END()
