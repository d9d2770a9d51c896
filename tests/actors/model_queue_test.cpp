#include "tests/actors/model_queue_fixture.hpp"

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(model_queue_tests)
namespace {

using fixture = queue_fixture;

bool has_metric(const metrics& m, const std::string& line) {
  return m.render().find(line + "\n") != std::string::npos;
}

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_waiting_ticket_asks_for_the_backend_once_a_second, fixture) {
  submit({1});
  submit({2});
  BOOST_TEST(heard("ensure_ready") == 1u);
  system.advance(990ms);
  BOOST_TEST(heard("ensure_ready") == 1u);
  system.advance(20ms);
  BOOST_TEST(heard("ensure_ready") == 2u);
  BOOST_TEST(has_metric(recorder, "signalbox_queue_depth{model=\"red\"} 2"));
  open();
  system.advance(3s);
  BOOST_TEST(heard("ensure_ready") == 2u);
}

BOOST_FIXTURE_TEST_CASE(the_board_hears_seldom_and_has_the_last_word, fixture) {
  const auto model = [this] { return board.snapshot()->models.at("red"); };
  BOOST_TEST(model().units == 0u);
  system.advance(1s);
  submit({1, 2, 3});
  open();
  system.advance(1s);
  BOOST_TEST(model().waiting == 1u);
  BOOST_TEST(model().in_use == 2u);
  BOOST_TEST(model().units == 2u);
  const auto before = board.snapshot()->number;
  for (ticket_id id = 4; id < 100; ++id) {
    submit({id});
    give_back(1, 1);
    system.advance(10ms);
  }
  BOOST_TEST(board.snapshot()->number - before <= 8u);
  give_back(2, 1);
  give_back(1, 0);
  system.advance(1s);
  BOOST_TEST(model().waiting == 0u);
  BOOST_TEST(model().in_use == 0u);
}

BOOST_FIXTURE_TEST_CASE(who_would_not_wait_for_a_closed_queue_brings_the_backend, fixture) {
  system.advance(1s);
  submit({1}, 0s);
  BOOST_TEST(only<ticket_refused>(inbox->take()).size() == 1u);
  BOOST_TEST(heard("ensure_ready") == 1u);
  BOOST_TEST(log.back() == "activity waiting");
  system.advance(2s);  // it does not ask again
  BOOST_TEST(heard("ensure_ready") == 1u);
  BOOST_TEST(log.back() == "activity");
  open();
  submit({2}, 0s);
  BOOST_TEST(heard("ensure_ready") == 1u);
}

BOOST_FIXTURE_TEST_CASE(the_backend_hears_how_long_requests_want_it, fixture) {
  shard_batch batch;
  batch.keep_loaded = 90s;
  send(batch);
  BOOST_TEST(heard("keep loaded for 90 s") == 1u);
}

BOOST_FIXTURE_TEST_CASE(effects_of_one_message_reach_a_shard_in_one_post, fixture) {
  submit({1, 2, 3});
  const auto before = inbox->posts();
  open(5);
  BOOST_TEST(inbox->posts() == before + 1);
  const auto permits = only<permit_granted>(inbox->take());
  BOOST_REQUIRE_EQUAL(permits.size(), 2u);  // max_concurrent
  BOOST_TEST(permits[0].ticket == 1u);
  BOOST_TEST(permits[1].ticket == 2u);
  BOOST_TEST(permits[0].endpoint->incarnation == 5u);
  give_back(1, 1);
  const auto next = only<permit_granted>(inbox->take());
  BOOST_REQUIRE_EQUAL(next.size(), 1u);
  BOOST_TEST(next[0].ticket == 3u);
}

BOOST_FIXTURE_TEST_CASE(an_uncontended_queue_gives_credits_and_takes_them_back, fixture) {
  open();
  const auto credits = only<credits_given>(inbox->take());
  BOOST_REQUIRE_EQUAL(credits.size(), 1u);
  BOOST_TEST(credits[0].count == 2u);
  submit({1});  // somebody waits
  BOOST_TEST(only<credits_recalled>(inbox->take()).size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(an_idle_close_is_refused_while_something_waits, fixture) {
  submit({1});
  close(1, true);
  BOOST_TEST(heard("not_idle 1") == 1u);
  BOOST_TEST(heard("drained 1") == 0u);
}

BOOST_FIXTURE_TEST_CASE(a_closing_queue_drains_when_the_last_unit_is_back, fixture) {
  submit({1, 2});
  open();
  inbox->take();
  close(1);
  give_back(1, 1);
  BOOST_TEST(heard("drained 1") == 0u);
  give_back(1, 0);
  BOOST_TEST(heard("drained 1") == 1u);
  close(2);  // said again to whoever asks again
  BOOST_TEST(heard("drained 2") == 1u);
  BOOST_TEST(heard("drained 1") == 1u);
}

BOOST_FIXTURE_TEST_CASE(only_the_last_closing_is_answered, fixture) {
  submit({1, 2});
  open();
  close(1);
  open(2);
  close(2);
  close(3);
  give_back(2, 0);
  BOOST_TEST(heard("drained 1") == 0u);
  BOOST_TEST(heard("drained 2") == 0u);
  BOOST_TEST(heard("drained 3") == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_queue_started_anew_is_not_drained_before_it_knows_what_runs, fixture) {
  restart_queue(2);
  close(7);
  close(8, true);
  BOOST_TEST(heard("not_idle 8") == 1u);
  caf::anon_send(queue, shard_attached{0, inbox, {{1, 1}}});
  system.run();
  caf::anon_send(queue, shard_attached{1, std::make_shared<recording_inbox>(), {}});
  system.run();
  BOOST_TEST(heard("drained 7") == 0u);
  give_back(1, 0);
  BOOST_TEST(heard("drained 7") == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_queue_started_anew_with_nothing_in_flight_drains, fixture) {
  restart_queue(1);
  close(7);
  BOOST_TEST(heard("drained 7") == 0u);
  caf::anon_send(queue, shard_attached{0, inbox, {}});
  system.run();
  BOOST_TEST(heard("drained 7") == 1u);
}

BOOST_FIXTURE_TEST_CASE(tickets_that_come_after_the_close_bring_the_backend_back, fixture) {
  open();
  close(1);
  submit({1});
  BOOST_TEST(heard("ensure_ready") == 1u);
  open(2);
  give_back(2, 0);
  const auto permits = only<permit_granted>(inbox->take());
  BOOST_REQUIRE_EQUAL(permits.size(), 1u);
  BOOST_TEST(permits[0].endpoint->incarnation == 2u);
}

BOOST_FIXTURE_TEST_CASE(a_refusal_in_force_meets_new_tickets_with_what_is_left_of_it, fixture) {
  submit({1});
  caf::anon_send(queue, refuse_waiting{1, refusal::model_failed, 4.0, "it does not start"});
  system.run();
  auto refused = only<ticket_refused>(inbox->take());
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_TEST(refused[0].detail == "it does not start");
  BOOST_TEST(refused[0].retry_after_s == 4.0);

  system.advance(3s);
  log.clear();
  submit({2});
  refused = only<ticket_refused>(inbox->take());
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_TEST((refused[0].why == refusal::model_failed));
  BOOST_TEST(refused[0].retry_after_s == 1.0);
  BOOST_TEST(heard("ensure_ready") == 0u);

  system.advance(1s);
  submit({3});  // the probe
  BOOST_TEST(only<ticket_refused>(inbox->take()).empty());
  BOOST_TEST(heard("ensure_ready") == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_deadline_is_kept_without_any_message, fixture) {
  submit({1}, 5s);
  system.advance(4990ms);
  BOOST_TEST(only<ticket_refused>(inbox->take()).empty());
  system.advance(20ms);
  const auto refused = only<ticket_refused>(inbox->take());
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_TEST((refused[0].why == refusal::deadline_passed));
  BOOST_TEST(stats().total_timeout == 1u);
}

BOOST_FIXTURE_TEST_CASE(only_a_ticket_that_waited_too_long_counts_as_timed_out, fixture) {
  submit({1, 2, 3, 4}, 5s);
  open();
  caf::anon_send(queue, refuse_waiting{1, refusal::model_failed, 4.0, "it does not start"});
  system.advance(6s);
  BOOST_TEST(only<ticket_refused>(inbox->take()).size() == 2u);
  BOOST_TEST(stats().total_timeout == 0u);
}

BOOST_FIXTURE_TEST_CASE(a_shutdown_refuses_what_waits_and_what_comes, fixture) {
  submit({1});
  caf::anon_send(queue, stop_all{});
  system.run();
  submit({2});
  open();  // nothing opens the door again
  submit({3});
  const auto refused = only<ticket_refused>(inbox->take());
  BOOST_REQUIRE_EQUAL(refused.size(), 3u);
  for (const auto& r : refused) BOOST_TEST((r.why == refusal::shutting_down));
}

BOOST_FIXTURE_TEST_CASE(another_backend_means_that_the_old_runtime_is_gone, fixture) {
  open();
  inbox->take();
  journal other_log;
  const auto other = fake_backend(*system, other_log);
  caf::anon_send(queue, backend_added{1, other});
  system.run();
  BOOST_TEST(only<credits_recalled>(inbox->take()).size() == 1u);
  submit({1});
  BOOST_TEST(only<permit_granted>(inbox->take()).empty());
  BOOST_TEST(std::count(other_log.begin(), other_log.end(), "ensure_ready") == 1);
}

BOOST_FIXTURE_TEST_CASE(demand_is_told_at_once_when_it_turns_and_seldom_otherwise, fixture) {
  system.advance(1s);
  submit({1});
  BOOST_REQUIRE_EQUAL(demands.size(), 1u);
  BOOST_TEST(demands[0].waiting() == 1u);
  BOOST_TEST((demands[0].oldest_wait_since() == system.now()));
  submit({2});
  submit({3});
  BOOST_TEST(demands.size() == 1u);
  system.advance(260ms);
  BOOST_REQUIRE_EQUAL(demands.size(), 2u);
  BOOST_TEST(demands[1].waiting() == 3u);
  system.advance(5s);
  BOOST_TEST(demands.size() == 2u);  // nothing changed
}

BOOST_FIXTURE_TEST_CASE(demand_is_told_under_the_number_that_the_backend_told, fixture) {
  caf::anon_send(queue, leases);  // a pool started anew: it gives out numbers anew
  submit({1});
  system.advance(1s);
  BOOST_TEST(demands.empty());
  caf::anon_send(queue, holder_known{1, 6});
  system.run();
  BOOST_REQUIRE_EQUAL(demands.size(), 1u);
  BOOST_TEST(demands[0].waiting() == 1u);
}

BOOST_FIXTURE_TEST_CASE(activity_is_told_when_it_ends, fixture) {
  open();
  submit({1});
  give_back(2, 0);
  give_back(1, 0);
  system.advance(2s);
  BOOST_REQUIRE(!log.empty());
  BOOST_TEST(log.back() == "activity");
  const auto told = log.size();
  system.advance(10s);
  BOOST_TEST(log.size() == told);
}

BOOST_FIXTURE_TEST_CASE(a_backend_started_anew_is_told_that_nobody_waits, fixture) {
  system.advance(1s);
  BOOST_TEST(log.back() == "activity");
  journal other_log;
  const auto other = fake_backend(*system, other_log);
  caf::anon_send(queue, backend_added{1, other});
  system.run();
  BOOST_TEST(other_log == (journal{"activity"}), boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(a_queue_started_anew_says_nothing_before_it_knows_who_waits, fixture) {
  log.clear();
  restart_queue(1);
  BOOST_TEST(log.empty());
  shard_batch batch;
  batch.tickets = {scheduling::ticket{.id = 1}};
  caf::anon_send(queue, shard_attached{0, inbox, {}});
  caf::anon_send(queue, batch);
  system.run();
  system.advance(1s);
  BOOST_REQUIRE(log.size() >= 2u);
  BOOST_TEST(log[0] == "ensure_ready");
  BOOST_TEST(log[1] == "activity waiting");
}

BOOST_FIXTURE_TEST_CASE(a_shard_that_has_yet_to_attach_is_not_listened_to, fixture) {
  shard_batch batch;
  batch.shard = 7;
  scheduling::ticket t;
  t.id = 70;
  t.shard = 7;
  batch.tickets = {t};
  send(batch);
  BOOST_TEST(heard("ensure_ready") == 0u);
  auto late = std::make_shared<recording_inbox>();
  caf::anon_send(queue, shard_attached{7, late, {}});
  send(batch);
  open();
  BOOST_TEST(only<permit_granted>(late->take()).size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_shard_that_answers_an_earlier_queue_is_not_attached, fixture) {
  constexpr std::uint32_t earlier_life = 7;
  auto late = std::make_shared<recording_inbox>();
  caf::anon_send(queue, shard_attached{7, late, {}, earlier_life});
  open();
  BOOST_TEST(only<credits_given>(late->take()).empty());
  caf::anon_send(queue, shard_attached{7, late, {}});
  give_back(2, 0);
  BOOST_TEST(!only<credits_given>(late->take()).empty());
}

BOOST_FIXTURE_TEST_CASE(who_was_served_least_goes_first_and_the_permit_says_what_it_costs,
                        fixture) {
  const auto ticket = [](ticket_id id, std::uint32_t principal) {
    return scheduling::ticket{.id = id, .principal = principal, .weight = 2, .estimate = 100};
  };
  shard_batch batch;
  batch.tickets = {ticket(1, 7), ticket(2, 7), ticket(3, 7)};
  send(batch);
  open();
  BOOST_TEST(only<permit_granted>(inbox->take()).size() == 2u);
  shard_batch later;
  later.backends = {{.backend = 1, .in_use = {2}}};
  later.tickets = {ticket(4, 8)};
  send(later);
  BOOST_TEST(only<permit_granted>(inbox->take()).empty());
  shard_batch ended;  // it took more than was thought, so the one that came later goes first
  ended.backends = {{.backend = 1, .units_returned = 1, .ended = 1, .in_use = {1}}};
  ended.settled.completed = 1;
  ended.served = {{.principal = 7, .weight = 2, .ended = 1, .corrected = 50}};
  send(ended);
  const auto granted = only<permit_granted>(inbox->take());
  BOOST_REQUIRE(granted.size() == 1u);
  BOOST_TEST(granted[0].ticket == 4u);
  BOOST_TEST(granted[0].charge.principal == 8u);
  BOOST_TEST(granted[0].charge.weight == 2);
  BOOST_TEST(granted[0].charge.cost == 100);
}

BOOST_FIXTURE_TEST_CASE(stats_add_up, fixture) {
  submit({1, 2, 3});
  open();
  shard_batch batch;
  batch.backends = {{.backend = 1, .units_returned = 1, .ended = 1, .in_use = {2}}};
  batch.settled.failed = 1;
  send(batch);
  const auto s = stats();
  BOOST_TEST(s.model == "red");
  BOOST_TEST(s.processing == 2u);
  BOOST_TEST(s.waiting == 0u);
  BOOST_TEST(s.max_concurrent == 2u);
  BOOST_TEST(s.max_waiting == 4u);
  BOOST_TEST(s.total_failed == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
