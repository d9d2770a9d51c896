#include "actors/model_backend_actor.hpp"

#include <algorithm>
#include <optional>

#include "actors/endpoint.hpp"
#include "tests/actors/model_backend_fixture.hpp"

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(model_backend_tests)
namespace {

using scheduling::exit_reason;
using scheduling::lifecycle_state;

struct pinned_fixture : backend_fixture {
  pinned_fixture() : backend_fixture(config::residency::pinned) {}
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(from_demand_to_an_open_queue, backend_fixture) {
  BOOST_TEST(driver.runs.empty());
  send(ensure_ready{});
  BOOST_TEST(heard("holder 5 acquires 16 GiB"));
  BOOST_TEST((state() == lifecycle_state::awaiting_lease));
  send(lease_granted{11, one_gpu});
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 1u);
  BOOST_TEST(scheduling::indexes_of(driver.runs[0]->request.gpus) == "0");
  BOOST_TEST((state() == lifecycle_state::starting));
  system.advance(2s);
  tell_ready(*driver.runs[0]);
  system.run();
  BOOST_TEST((state() == lifecycle_state::ready));
  BOOST_TEST(heard("open gpu-box.lan at 10.0.0.7:18000 org/red run 1"));
  BOOST_TEST(heard("load of 2 s"));
  BOOST_TEST(recorder.render().find("signalbox_model_load_seconds_sum{model=\"red\"} 2\n") !=
             std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(connections_go_by_the_rules_of_the_model_as_they_are_now, backend_fixture) {
  become_ready();
  auto& link = *driver.runs[0]->request.link;
  BOOST_TEST((link.keep_idle() == 800ms));
  for (int i = 0; i < 2; ++i) link.opened();
  BOOST_TEST(!link.has_too_many());
  link.opened();
  BOOST_TEST(link.has_too_many());
  settings.models[0].max_concurrent = 3;
  settings.models[0].connection_idle_s = 0;
  send(model_changed{served(settings, 0, recorder)});
  BOOST_TEST(!link.has_too_many());
  BOOST_TEST((link.keep_idle() == 0ms));
}

BOOST_AUTO_TEST_CASE(an_endpoint_has_what_its_requests_need) {
  config::model_options model;
  model.name = "red";
  model.api_key = "rk-1";
  const auto link = std::make_shared<backend_link>();
  const runtime_ready run{4, "gpu-box.lan", "10.0.0.7", 443, "/openai", config::make_trust("")};
  const auto made = make_endpoint(7, model, run, link);
  BOOST_TEST(made->backend == 7u);
  BOOST_TEST(made->incarnation == 4u);
  BOOST_TEST(made->upstream_model == "red");
  BOOST_TEST(made->path == "/openai");
  BOOST_TEST(made->api_key == "rk-1");
  BOOST_TEST(made->trust == run.trust);
  BOOST_TEST(made->link == link);
}

BOOST_FIXTURE_TEST_CASE(the_board_has_what_is_so_now, backend_fixture) {
  BOOST_TEST((status().state == lifecycle_state::stopped));
  BOOST_TEST(status().incarnation == 0u);
  become_ready();
  const auto ready = status();
  BOOST_TEST((ready.state == lifecycle_state::ready));
  BOOST_TEST(ready.model == "red");
  BOOST_TEST(ready.incarnation == 1u);
  BOOST_TEST(ready.token == 11u);
  BOOST_TEST((ready.gpus == scheduling::gpu_set{{0, 16 * config::gib}}));
  BOOST_TEST(!ready.last_failure);
  tell_gone(*driver.runs[0], exit_reason::oom);
  system.run();
  const auto failed = status();
  BOOST_TEST((failed.state == lifecycle_state::failed));
  BOOST_TEST((failed.last_failure == exit_reason::oom));
  BOOST_TEST(failed.failures == 1u);
  BOOST_TEST(failed.token == 0u);
  BOOST_TEST(failed.gpus.empty());
}

// A client that is refused may ask for /health at once.
BOOST_FIXTURE_TEST_CASE(the_board_is_told_before_anybody_feels_it, backend_fixture) {
  std::optional<backend_status> at_start;
  driver.at_start = [&] { at_start = status(); };
  become_ready();
  BOOST_REQUIRE(at_start);
  BOOST_TEST((at_start->state == lifecycle_state::starting));
  BOOST_TEST(at_start->token == 11u);
  BOOST_TEST((at_start->gpus == one_gpu));
}

BOOST_FIXTURE_TEST_CASE(it_acquires_when_it_knows_its_number_and_its_queue_is_told,
                        backend_fixture) {
  BOOST_TEST(log == (journal{"register model red", "holder 5"}), boost::test_tools::per_element());
  const auto spawn_early = [&] {
    log.clear();
    return spawn_model_backend(*system, {served(settings, 0, recorder), 8, &settings, &driver,
                                         &board, queue, leases, crashes});
  };
  const auto acquired = [&] { return heard("holder 6 acquires 16 GiB"); };
  auto early = spawn_early();
  caf::anon_send(early, ensure_ready{});
  caf::anon_send(early, queue_activity{system.now(), false});  // nobody waits any more
  caf::anon_send(early, holder_registered{6});
  system.run();
  BOOST_TEST(!acquired());
  BOOST_TEST(!heard("withdraw"));
  caf::anon_send(early, ensure_ready{});
  system.run();
  BOOST_TEST(acquired());
  caf::anon_send_exit(early, caf::exit_reason::kill);
  system.run();
  early = spawn_early();
  caf::anon_send(early, ensure_ready{});
  system.run();
  BOOST_TEST(!acquired());
  caf::anon_send(early, holder_registered{6});
  system.run();
  BOOST_TEST(acquired());
  caf::anon_send_exit(early, caf::exit_reason::kill);
  system.run();
}

BOOST_FIXTURE_TEST_CASE(the_queue_is_told_when_the_load_will_be_over, backend_fixture) {
  send(ensure_ready{});
  BOOST_TEST(log.back() == "load of 7 s");  // it has yet to begin
  system.advance(1s);
  send(lease_granted{11, one_gpu});
  BOOST_TEST(log.back() == "load of 7 s, 7 s left");
  system.advance(3s);
  journal other_log;
  send(fake_queue(*system, other_log));
  BOOST_TEST(other_log == (journal{"holder 5", "load of 7 s, 4 s left"}),
             boost::test_tools::per_element());
  tell_gone(*driver.runs[0], exit_reason::crashed);
  system.run();
  BOOST_TEST(other_log.back() ==
             fmt::format("load of 7 s, {:g} s left", settings.scheduling.load_backoff_s + 7));
}

BOOST_FIXTURE_TEST_CASE(a_crash_is_recorded_and_the_lease_freed_when_the_tree_is_gone,
                        backend_fixture) {
  become_ready();
  const auto run = driver.runs[0];
  run->tell(runtime_exited{1, exit_reason::segfault, "signal 11 (SIGSEGV)", {"one", "two"}});
  system.run();
  BOOST_TEST(heard("close 1"));
  BOOST_REQUIRE_EQUAL(records.size(), 1u);
  BOOST_TEST(records[0].model == "red");
  BOOST_TEST(records[0].reason == "segfault");
  BOOST_TEST(records[0].detail == "signal 11 (SIGSEGV)");
  BOOST_TEST(records[0].log_tail == (std::vector<std::string>{"one", "two"}),
             boost::test_tools::per_element());
  BOOST_TEST(!heard("release 11"));
  run->tell(runtime_released{1});
  system.run();
  BOOST_TEST(heard("release 11"));
  BOOST_TEST(recorder.render().find("signalbox_crashes_total{model=\"red\",reason=\"segfault\"} "
                                    "1\n") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_lease_asked_back_is_given_back_after_the_drain_and_the_stop,
                        backend_fixture) {
  become_ready();
  send(lease_asked_back{10});  // an older token
  BOOST_TEST(!heard("close 1"));
  send(lease_asked_back{11});
  BOOST_TEST(heard("close 1"));
  BOOST_TEST(driver.runs[0]->stops.empty());
  send(queue_drained{1});
  BOOST_TEST(driver.runs[0]->stops.size() == 1u);
  BOOST_TEST(!heard("release 11"));
  tell_gone(*driver.runs[0], exit_reason::asked);
  system.run();
  BOOST_TEST(heard("release 11"));
  BOOST_TEST(records.empty());
  BOOST_TEST((state() == lifecycle_state::stopped));
}

BOOST_FIXTURE_TEST_CASE(an_idle_model_is_unloaded_only_when_its_queue_agrees, backend_fixture) {
  become_ready();
  system.advance(61s, 100ms);
  BOOST_TEST(heard("close if idle 1"));
  log.clear();
  send(queue_not_idle{1});
  BOOST_TEST(driver.runs[0]->stops.empty());
  system.advance(61s, 100ms);
  BOOST_TEST(heard("close if idle 2"));
  send(queue_drained{2});
  BOOST_TEST(driver.runs[0]->stops.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_request_may_say_when_it_is_unloaded, backend_fixture) {
  become_ready();
  BOOST_TEST((status().unload_at == system.now() + 60s));
  send(keep_loaded{-1s});
  BOOST_TEST((status().unload_at == never));
  system.advance(200s, 1s);
  BOOST_TEST(!heard("close if idle 1"));
  send(keep_loaded{0s});
  system.advance(1s);
  BOOST_TEST(heard("close if idle 1"));
}

BOOST_FIXTURE_TEST_CASE(a_late_answer_to_an_earlier_closing_is_void, backend_fixture) {
  become_ready();
  tell_gone(*driver.runs[0], exit_reason::crashed);
  system.run();
  BOOST_TEST(heard("close 1"));
  system.advance(2s);  // the backoff
  send(ensure_ready{});
  send(lease_granted{12, one_gpu});
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 2u);
  driver.runs[1]->tell(runtime_ready{2, "127.0.0.1", "127.0.0.1", 18000});
  system.run();
  send(lease_asked_back{12});
  BOOST_TEST(heard("close 2"));
  send(queue_drained{1});
  BOOST_TEST(driver.runs[1]->stops.empty());
  send(queue_drained{2});
  BOOST_TEST(driver.runs[1]->stops.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_crash_loop_refuses_what_waits_and_tells_clients_no_details,
                        backend_fixture) {
  send(ensure_ready{});
  for (fencing_token token = 1; token <= settings.scheduling.load_attempts; ++token) {
    send(lease_granted{token, one_gpu});
    tell_gone(*driver.runs.back(), exit_reason::start_failed, "/opt/secret/run: not found");
    system.run();
    system.advance(30s, 100ms);
  }
  BOOST_TEST(records.size() == settings.scheduling.load_attempts);
  const auto told = std::find_if(log.begin(), log.end(), [](const std::string& line) {
    return line.starts_with("refuse model_failed");
  });
  BOOST_REQUIRE(told != log.end());
  BOOST_TEST(told->find("secret") == std::string::npos);
  BOOST_TEST(told->find("start_failed") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_refused_lease_refuses_what_waits, backend_fixture) {
  send(ensure_ready{});
  send(lease_refused{refusal::does_not_fit});
  BOOST_TEST(heard("refuse does_not_fit ()"));
}

BOOST_FIXTURE_TEST_CASE(an_orderly_stop_drains_then_stops_then_ends, backend_fixture) {
  become_ready();
  send(stop_all{});
  BOOST_TEST(heard("close 1"));
  send(ensure_ready{});  // too late
  send(queue_drained{1});
  BOOST_TEST(driver.runs[0]->stops.size() == 1u);
  BOOST_TEST(!driver.runs[0]->destroyed);
  tell_gone(*driver.runs[0], exit_reason::asked);
  system.run();
  BOOST_TEST(driver.runs[0]->destroyed);
  BOOST_TEST(driver.runs.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(the_end_of_the_actor_ends_the_runtime, backend_fixture) {
  become_ready();
  caf::anon_send_exit(backend, caf::exit_reason::kill);
  system.run();
  BOOST_TEST(driver.runs[0]->destroyed);
  tell_gone(*driver.runs[0], exit_reason::crashed);  // nobody is there to hear it
  system.run();
  BOOST_TEST(records.empty());
}

BOOST_FIXTURE_TEST_CASE(a_queue_started_anew_is_told_how_things_stand, backend_fixture) {
  become_ready();
  journal other_log;
  send(fake_queue(*system, other_log));
  const auto opened = std::find_if(
      log.begin(), log.end(), [](const std::string& line) { return line.starts_with("open"); });
  BOOST_REQUIRE(opened != log.end());
  BOOST_TEST(std::count(other_log.begin(), other_log.end(), *opened) == 1);
  BOOST_TEST(driver.runs.size() == 1u);
  send(lease_asked_back{11});
  journal third_log;
  send(fake_queue(*system, third_log));
  BOOST_TEST(std::count(third_log.begin(), third_log.end(), "close 2") == 1);
}

BOOST_FIXTURE_TEST_CASE(a_pinned_model_is_loaded_at_once_and_again_after_a_crash, pinned_fixture) {
  send(lease_granted{1, one_gpu});
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 1u);
  tell_ready(*driver.runs[0]);
  system.run();
  system.advance(120s, 100ms);
  BOOST_TEST(!heard("close if idle 1"));
  log.clear();
  tell_gone(*driver.runs[0], exit_reason::crashed);
  system.run();
  system.advance(2s);
  BOOST_TEST(heard("holder 5 acquires 16 GiB"));
}

BOOST_FIXTURE_TEST_CASE(a_load_that_takes_too_long_is_told_even_by_a_silent_driver,
                        backend_fixture) {
  settings.models[0].start_timeout_s = 120;
  send(ensure_ready{});
  send(lease_granted{1, one_gpu});
  system.advance(130s, 100ms);
  BOOST_REQUIRE_EQUAL(records.size(), 1u);
  BOOST_TEST(records[0].reason == "start_timeout");
  BOOST_TEST(driver.runs[0]->stops.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
