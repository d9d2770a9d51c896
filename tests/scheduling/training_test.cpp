// The rules of scheduling/training.hpp, each by its name.
#include <boost/test/unit_test.hpp>

#include "tests/scheduling/training_scene.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;
using phase = training_phase;
using word = training_word;

BOOST_AUTO_TEST_SUITE(training_rules)

BOOST_AUTO_TEST_CASE(selected_is_kept_and_runs_under_a_lease) {
  training_scene s;
  s.missing();
  const auto selected = s.core.select("a", s.now);
  BOOST_CHECK((are<persist_selection, ask_for_lease>(selected)));
  BOOST_CHECK((kept(selected) == training_selection{"a"}));
  const auto started = s.core.lease_granted(7, {{0, 16}}, s.now);
  BOOST_REQUIRE((are<start_trainer>(started)));
  BOOST_CHECK_EQUAL(all<start_trainer>(started)[0].folder, "a");
  BOOST_CHECK_EQUAL(all<start_trainer>(started)[0].order, 1u);
  BOOST_CHECK(s.running().empty());
  BOOST_CHECK(s.core.phase() == phase::running);
  BOOST_CHECK_EQUAL(s.core.token(), 7u);
}

BOOST_AUTO_TEST_CASE(selected_waits_until_the_trainer_was_looked_at) {
  training_scene s;
  BOOST_CHECK((are<persist_selection>(s.core.select("a", s.now))));
  BOOST_CHECK((are<ask_for_lease>(s.exited(0))));  // it ended before it was selected
}

BOOST_AUTO_TEST_CASE(selected_anew_goes_on_and_is_watched_by_the_other_status) {
  training_scene s;
  s.run();
  s.says(word::training);
  BOOST_CHECK((are<persist_selection>(s.core.select("b", s.now))));
  BOOST_CHECK(s.core.phase() == phase::running);
  BOOST_CHECK(!s.core.time_seen_at());
  BOOST_CHECK(s.says(word::finished).empty());  // that of "a"
  BOOST_CHECK((are<persist_selection, stop_trainer>(s.says(word::finished, 1, "b"))));
}

BOOST_AUTO_TEST_CASE(not_selected_is_stopped) {
  training_scene s;
  BOOST_CHECK((are<stop_trainer>(s.running())));
  BOOST_CHECK(s.exited(143).empty());
  BOOST_CHECK(s.core.phase() == phase::idle);
  BOOST_CHECK((are<stop_trainer>(s.running())));  // started again by somebody
}

BOOST_AUTO_TEST_CASE(cleared_is_stopped_and_gives_its_lease_back) {
  training_scene s;
  s.run();
  const auto cleared = s.core.clear(s.now);
  BOOST_CHECK((are<persist_selection, stop_trainer>(cleared)));
  BOOST_CHECK(kept(cleared) == training_selection{});
  BOOST_CHECK(s.running().empty());  // it is not gone yet
  BOOST_CHECK((are<give_lease_back>(s.exited(143))));
  BOOST_CHECK(s.core.phase() == phase::idle);
  BOOST_CHECK(s.core.next_deadline() == never);
}

BOOST_AUTO_TEST_CASE(cleared_before_the_grant_asks_no_more) {
  training_scene s;
  s.missing();
  s.core.select("a", s.now);
  BOOST_CHECK((are<persist_selection, stop_asking>(s.core.clear(s.now))));
  BOOST_CHECK((are<give_lease_back>(s.granted())));  // they crossed
}

BOOST_AUTO_TEST_CASE(the_selection_survives_a_restart_of_the_gateway) {
  training_scene with_gateway_gone(quick_training(), {"a"});
  BOOST_CHECK((are<ask_for_lease>(with_gateway_gone.missing())));  // a process ended with it

  training_scene goes_on(quick_training(), {"a"});
  BOOST_CHECK((are<ask_for_lease>(goes_on.running())));
  BOOST_CHECK(goes_on.core.phase() == phase::adopting);
  BOOST_CHECK(goes_on.granted().empty());  // never stopped, and not started a second time
  BOOST_CHECK(goes_on.core.phase() == phase::running);

  training_scene by_hand(quick_training(), {"a"});
  BOOST_CHECK(kept(by_hand.exited(143)).is_held);

  training_scene crashed(quick_training(), {"a"});
  BOOST_CHECK((are<record_training_crash>(crashed.exited(1))));
  BOOST_CHECK((are<ask_for_lease>(crashed.wait())));
}

BOOST_AUTO_TEST_CASE(what_was_held_or_paused_stays_so_over_a_restart) {
  training_scene held(quick_training(), {"a", true, false});
  BOOST_CHECK(held.exited(143).empty());
  BOOST_CHECK(held.core.phase() == phase::idle);

  training_scene paused(quick_training(), {"a", false, true});
  BOOST_CHECK(paused.exited(143).empty());
  BOOST_CHECK(paused.core.cooldown_left(paused.now) == 600s);
  BOOST_CHECK((are<ask_for_lease>(paused.wait())));
  BOOST_CHECK(paused.now == training_begins + 600s);
}

BOOST_AUTO_TEST_CASE(finished_is_stopped_and_cleared) {
  training_scene s;
  s.run();
  const auto effects = s.says(word::finished);
  BOOST_CHECK((are<persist_selection, stop_trainer>(effects)));
  BOOST_CHECK(kept(effects) == training_selection{});
  BOOST_CHECK((are<give_lease_back>(s.exited(143))));
  BOOST_CHECK(s.core.phase() == phase::idle);
}

BOOST_AUTO_TEST_CASE(finished_during_the_cooldown_prevents_the_restart) {
  training_scene s;
  s.run();
  s.requests(1);
  s.stopped_by_us();
  s.requests(0);
  BOOST_CHECK(s.core.next_deadline() == s.now + 600s);
  BOOST_CHECK((are<persist_selection>(s.says(word::finished))));
  BOOST_CHECK(s.core.next_deadline() == never);
  s.now += 600s;
  BOOST_CHECK(s.advance().empty());
}

BOOST_AUTO_TEST_CASE(finished_during_backoff_or_before_the_grant_prevents_the_start) {
  training_scene s;
  s.run();
  s.exited(1);
  BOOST_CHECK((are<persist_selection>(s.says(word::finished))));
  BOOST_CHECK(s.core.next_deadline() == never);
  s.core.select("a", s.now);
  BOOST_CHECK((are<persist_selection, stop_asking>(s.says(word::finished, 2))));
}

BOOST_AUTO_TEST_CASE(yield_stops_for_a_request_and_starts_again_after_the_cooldown) {
  training_scene s;
  s.run();
  const auto asked = s.requests(1);
  BOOST_CHECK((are<persist_selection, stop_trainer>(asked)));
  BOOST_CHECK(kept(asked).is_paused);
  BOOST_CHECK((are<give_lease_back>(s.exited(143))));
  s.now += 30s;
  BOOST_CHECK(s.core.next_deadline() == never);  // as long as the request takes
  s.requests(0);
  BOOST_CHECK(s.core.cooldown_left(s.now) == 600s);
  BOOST_CHECK((are<ask_for_lease>(s.wait())));
  s.granted();
  BOOST_CHECK(!kept(s.running()).is_paused);
}

BOOST_AUTO_TEST_CASE(yield_counts_requests_and_a_new_one_cancels_the_cooldown) {
  training_scene s;
  s.run();
  s.requests(1);
  s.stopped_by_us();
  s.requests(2);
  s.requests(1);
  BOOST_CHECK(s.core.next_deadline() == never);
  s.requests(0);
  s.now += 599s;
  s.requests(1);
  BOOST_CHECK(s.core.next_deadline() == never);
  BOOST_CHECK(s.core.cooldown_left(s.now) == 0s);
  s.requests(0);
  BOOST_CHECK(s.core.next_deadline() == s.now + 600s);
  s.requests(0);  // none came
  s.now += 600s;
  BOOST_CHECK((are<ask_for_lease>(s.advance())));
  BOOST_CHECK((are<stop_asking>(s.requests(1))));
}

BOOST_AUTO_TEST_CASE(yield_that_ends_a_start) {
  training_scene s;
  s.missing();
  s.core.select("a", s.now);
  s.granted();
  BOOST_CHECK((are<persist_selection, stop_trainer>(s.requests(1))));
  BOOST_CHECK(s.running().empty());
  BOOST_CHECK((are<give_lease_back>(s.exited(137))));
}

BOOST_AUTO_TEST_CASE(yield_to_whom_asks_for_the_lease) {
  auto options = quick_training();
  options.yields_to_requests = false;
  training_scene s(options);
  s.run();
  BOOST_CHECK(s.requests(3).empty());
  BOOST_CHECK(s.core.lease_asked_back(s.token + 1, s.now).empty());
  BOOST_CHECK((are<persist_selection, stop_trainer>(s.asked_back())));
  BOOST_CHECK(s.asked_back().empty());
  BOOST_CHECK((are<give_lease_back>(s.exited(143))));
  BOOST_CHECK((are<ask_for_lease>(s.wait())));  // although there are requests: for the pool to say
  BOOST_CHECK(s.now == training_begins + 600s);
}

BOOST_AUTO_TEST_CASE(cleared_or_held_while_paused_is_not_started_again) {
  for (const bool cleared : {false, true}) {
    training_scene s;
    s.run();
    s.requests(1);
    s.stopped_by_us();
    s.requests(0);
    const auto effects = cleared ? s.core.clear(s.now) : s.core.stop(s.now);
    BOOST_CHECK(!kept(effects).is_paused);
    BOOST_CHECK(s.core.next_deadline() == never);
  }
}

BOOST_AUTO_TEST_CASE(an_order_to_start_skips_the_cooldown_but_no_request) {
  training_scene s;
  s.run();
  s.requests(1);
  s.stopped_by_us();
  BOOST_CHECK(s.core.start(s.now).empty());
  s.requests(0);
  BOOST_CHECK((are<ask_for_lease>(s.core.start(s.now))));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(training_saves)

namespace {

training_scene that_saves() {
  auto options = quick_training();
  options.checkpoint_wait = 60s;
  training_scene s(options);
  s.run();
  return s;
}

}  // namespace

BOOST_AUTO_TEST_CASE(it_is_killed_once_it_has_saved) {
  auto s = that_saves();
  s.says(word::training, 1);
  BOOST_CHECK((are<persist_selection, ask_to_save>(s.requests(1))));
  BOOST_CHECK(s.says(word::training, 2).empty());
  const auto effects = s.says(word::saved, 3);
  BOOST_REQUIRE((are<stop_trainer>(effects)));
  BOOST_CHECK(all<stop_trainer>(effects)[0].grace == 0s);
  BOOST_CHECK((are<give_lease_back>(s.exited(137))));
}

BOOST_AUTO_TEST_CASE(the_wait_is_bounded) {
  auto s = that_saves();
  s.requests(1);
  const auto effects = s.wait();
  BOOST_CHECK(s.now == training_begins + 60s);
  BOOST_REQUIRE((are<stop_trainer>(effects)));
  BOOST_CHECK(all<stop_trainer>(effects)[0].grace == 20s);
}

BOOST_AUTO_TEST_CASE(what_it_said_in_an_earlier_run_does_not_count) {
  auto s = that_saves();
  s.says(word::saved, 1);
  s.requests(1);
  BOOST_CHECK(s.says(word::saved, 1).empty());
  BOOST_CHECK((are<stop_trainer>(s.says(word::saved, 2))));

  auto unread = that_saves();
  unread.requests(1);
  BOOST_CHECK(unread.says(word::saved, 1).empty());  // nothing was read before
}

BOOST_AUTO_TEST_CASE(its_word_counts_although_another_folder_is_selected) {
  auto s = that_saves();
  s.says(word::training, 1);
  s.core.clear(s.now);
  s.core.select("b", s.now);
  BOOST_CHECK_EQUAL(s.core.watched(), "a");
  BOOST_CHECK((are<stop_trainer>(s.says(word::saved, 2))));
  BOOST_CHECK_EQUAL(s.core.watched(), "b");
  BOOST_CHECK((are<give_lease_back, ask_for_lease>(s.exited(137))));
}

BOOST_AUTO_TEST_CASE(it_may_end_by_itself_and_is_not_held) {
  auto s = that_saves();
  s.requests(1);
  BOOST_CHECK((are<give_lease_back>(s.exited(0))));
  BOOST_CHECK(s.core.selection().is_paused);
  s.requests(0);
  BOOST_CHECK((are<ask_for_lease>(s.wait())));
}

BOOST_AUTO_TEST_CASE(one_that_is_finished_or_frozen_is_not_asked) {
  auto finished = that_saves();
  BOOST_CHECK((are<persist_selection, stop_trainer>(finished.says(word::finished))));
  auto frozen = that_saves();
  frozen.says(word::training, 1);
  frozen.now += 200s;
  frozen.says(word::training, 1);
  frozen.now += 101s;
  BOOST_CHECK((are<record_training_crash, stop_trainer>(frozen.says(word::training, 1))));
}

BOOST_AUTO_TEST_CASE(one_that_finishes_while_it_saves_is_stopped) {
  auto s = that_saves();
  s.requests(1);
  BOOST_CHECK((are<persist_selection, stop_trainer>(s.says(word::finished))));
  BOOST_CHECK((are<give_lease_back>(s.exited(143))));
  BOOST_CHECK(s.core.phase() == phase::idle);
}

BOOST_AUTO_TEST_SUITE_END()
