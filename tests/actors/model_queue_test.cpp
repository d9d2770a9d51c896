#include "actors/model_queue_actor.hpp"

#include <algorithm>

#include "tests/actors/support.hpp"

namespace signalbox::test {
namespace {

struct fixture {
  fixture() {
    caf::anon_send(queue, backend);
    caf::anon_send(queue, leases);
    caf::anon_send(queue, shard_attached{0, inbox, 0});
    system.run();
    demands.clear();
  }

  ~fixture() {
    caf::anon_send_exit(queue, caf::exit_reason::kill);
    system.run();
  }

  void send(shard_batch batch) {
    caf::anon_send(queue, std::move(batch));
    system.run();
  }

  void submit(std::vector<ticket_id> ids, duration patience = 1h) {
    shard_batch batch;
    for (auto id : ids) {
      scheduling::ticket t;
      t.id = id;
      t.deadline = system.now() + patience;
      batch.tickets.push_back(t);
    }
    send(batch);
  }

  void give_back(std::uint32_t units, std::uint32_t in_use) {
    shard_batch batch;
    batch.units_returned = units;
    batch.in_use = in_use;
    batch.settled.completed = units;
    send(batch);
  }

  void open(std::uint64_t run = 1) {
    auto endpoint = std::make_shared<backend_endpoint>();
    endpoint->incarnation = run;
    caf::anon_send(queue, open_queue{endpoint});
    system.run();
  }

  void close(std::uint64_t closing, bool only_if_idle = false) {
    caf::anon_send(queue, close_queue{closing, only_if_idle});
    system.run();
  }

  // As the supervisor does it, for so many shards.
  void restart_queue(std::size_t shards) {
    caf::anon_send_exit(queue, caf::exit_reason::kill);
    queue = spawn_model_queue(*system, {0, &settings, &recorder, shards});
    caf::anon_send(queue, backend);
    system.run();
  }

  std::size_t heard(const std::string& line) {
    return static_cast<std::size_t>(std::count(log.begin(), log.end(), line));
  }

  queue_stats stats() {
    queue_stats result{};
    caf::scoped_actor self{*system};
    auto request = self->request(queue, 1s, get_queue_stats{});
    system.run();
    request.receive([&result](const queue_stats& s) { result = s; },
                    [](const caf::error& e) { BOOST_ERROR(caf::to_string(e)); });
    return result;
  }

  simulated_system system;
  config::settings settings = two_models();
  metrics recorder{settings, 1};
  journal log;
  std::vector<scheduling::holder_demand> demands;
  model_backend_actor backend = fake_backend(*system, log);
  gpu_lease_actor leases = fake_leases(*system, log, demands);
  std::shared_ptr<recording_inbox> inbox = std::make_shared<recording_inbox>();
  model_queue_actor queue = spawn_model_queue(*system, {0, &settings, &recorder});
};

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
  caf::anon_send(queue, shard_attached{0, inbox, 1});
  system.run();
  caf::anon_send(queue, shard_attached{1, std::make_shared<recording_inbox>(), 0});
  system.run();
  BOOST_TEST(heard("drained 7") == 0u);
  give_back(1, 0);
  BOOST_TEST(heard("drained 7") == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_queue_started_anew_with_nothing_in_flight_drains, fixture) {
  restart_queue(1);
  close(7);
  BOOST_TEST(heard("drained 7") == 0u);
  caf::anon_send(queue, shard_attached{0, inbox, 0});
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
  caf::anon_send(queue, refuse_waiting{refusal::model_failed, 4.0, "it does not start"});
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
  caf::anon_send(queue, refuse_waiting{refusal::model_failed, 4.0, "it does not start"});
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
  caf::anon_send(queue, other);
  system.run();
  BOOST_TEST(only<credits_recalled>(inbox->take()).size() == 1u);
  submit({1});
  BOOST_TEST(only<permit_granted>(inbox->take()).empty());
  BOOST_TEST(std::count(other_log.begin(), other_log.end(), "ensure_ready") == 1);
}

BOOST_FIXTURE_TEST_CASE(a_place_counts_the_load_in, fixture) {
  submit({1, 2});
  shard_batch query;
  query.place_queries = {2, 99};
  send(query);
  const auto places = only<ticket_placed>(inbox->take());
  BOOST_REQUIRE_EQUAL(places.size(), 1u);  // an unknown ticket has none
  BOOST_TEST(places[0].position == 2u);
  BOOST_TEST(places[0].eta_s == 7.0);  // expected_load_s; no service time is known yet
}

BOOST_FIXTURE_TEST_CASE(demand_is_told_at_once_when_it_turns_and_seldom_otherwise, fixture) {
  system.advance(1s);
  submit({1});
  BOOST_REQUIRE_EQUAL(demands.size(), 1u);
  BOOST_TEST(demands[0].waiting == 1u);
  BOOST_TEST((demands[0].oldest_wait_since == system.now()));
  submit({2});
  submit({3});
  BOOST_TEST(demands.size() == 1u);
  system.advance(260ms);
  BOOST_REQUIRE_EQUAL(demands.size(), 2u);
  BOOST_TEST(demands[1].waiting == 3u);
  system.advance(5s);
  BOOST_TEST(demands.size() == 2u);  // nothing changed
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
  caf::anon_send(queue, shard_attached{7, late, 0});
  send(batch);
  open();
  BOOST_TEST(only<permit_granted>(late->take()).size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(stats_add_up, fixture) {
  submit({1, 2, 3});
  open();
  shard_batch batch;
  batch.units_returned = 1;
  batch.in_use = 2;
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

}  // namespace signalbox::test
