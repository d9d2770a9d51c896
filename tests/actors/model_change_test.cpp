// Tests that models are added, removed and changed while the gateway runs.
#include <boost/test/unit_test.hpp>

#include "tests/actors/supervisor_fixture.hpp"

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(models_that_change)
namespace {

struct fixture : supervisor_fixture {
  reload_report change(bool restart_now = false) {
    reload_report report;
    caf::scoped_actor self{*system};
    auto request = self->request(supervisor, 1s, change_models{wanted, restart_now});
    system.run();
    request.receive([&report](const reload_report& r) { report = r; },
                    [](const caf::error& e) { BOOST_ERROR(caf::to_string(e)); });
    return report;
  }

  // The runtime, which was told to stop, ends.
  void runtime_ends(std::size_t run) {
    BOOST_REQUIRE(!driver.runs[run]->stops.empty());
    tell_gone(*driver.runs[run], scheduling::exit_reason::asked);
    system.run();
  }

  // Ends the request in flight, and then returns the credits that the queue has given out since.
  void give_everything_back(model_index model) {
    for (int i = 0; i < 2; ++i) {
      give_back(model, 2);
      system.advance(1s);
    }
  }

  std::vector<config::model_options> wanted = settings.models;
};

using names = std::vector<std::string>;

}  // namespace

BOOST_FIXTURE_TEST_CASE(what_did_not_change_is_not_touched, fixture) {
  load(0);
  const auto before = handles;
  const auto report = change(true);
  BOOST_TEST((report.added.empty() && report.changed.empty() && report.removed.empty()));
  BOOST_TEST((handles->models->models() == before->models->models()));
  BOOST_TEST((handles->queues == before->queues));
  BOOST_TEST((handles->backends == before->backends));
  BOOST_TEST(driver.runs[0]->stops.empty());
}

BOOST_FIXTURE_TEST_CASE(an_added_model_is_served_under_a_new_index, fixture) {
  wanted.push_back(wanted[0]);
  wanted.back().name = "green";
  wanted.back().aliases = {"vert"};
  BOOST_TEST(change().added == names{"green"});
  const auto green = handles->models->find("vert");
  BOOST_REQUIRE(green);
  BOOST_TEST(green->index == 2u);
  submit(2, 7);
  system.advance(1s);
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 1u);
  BOOST_TEST(driver.runs[0]->model == "green");
  BOOST_TEST(recorder.render().find("model=\"green\"") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_removed_model_is_not_found_and_serves_what_it_has, fixture) {
  load(0);
  inbox->take();
  wanted.erase(wanted.begin());
  BOOST_TEST(change(true).removed == names{"red"});
  BOOST_TEST(!handles->models->find("red"));
  system.advance(3s);
  BOOST_TEST(driver.runs[0]->stops.empty());  // a request is in flight
  BOOST_TEST(only<model_gone>(inbox->take()).empty());
  give_everything_back(0);
  runtime_ends(0);
  const auto gone = only<model_gone>(inbox->take());
  BOOST_REQUIRE_EQUAL(gone.size(), 1u);
  BOOST_TEST(gone[0].model == 0u);
  BOOST_TEST(!handles->queue_of(0));
  BOOST_TEST(handles->backends.size() == 1u);
  BOOST_TEST(!board.snapshot()->models.contains("red"));
  BOOST_TEST(recorder.render().find("model=\"red\"") == std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_model_that_came_back_writes_what_is_so_when_the_old_one_ends, fixture) {
  load(0);
  wanted.erase(wanted.begin());
  change();
  wanted = settings.models;
  wanted[0].gpu_memory = config::gib;  // fits beside the old one
  change();
  submit(handles->models->find("red")->index, 7);
  tell_ready(*driver.runs.back());
  system.advance(3s);
  give_everything_back(0);
  system.advance(3s);
  runtime_ends(0);
  system.advance(3s);
  const auto ready = R"(signalbox_model_state{model="red",state="ready"} 1)";
  BOOST_TEST(recorder.render().find(ready) != std::string::npos);
  BOOST_TEST(board.snapshot()->models.at("red").units > 0u);
}

BOOST_FIXTURE_TEST_CASE(a_removed_model_whose_name_is_an_alias_now_is_not_shown, fixture) {
  wanted.erase(wanted.begin());
  wanted[0].aliases = {"red"};
  change();
  system.advance(3s);
  BOOST_TEST(handles->models->find("red")->options.name == "blue");
  BOOST_TEST(!board.snapshot()->models.contains("red"));
}

BOOST_FIXTURE_TEST_CASE(a_removed_model_that_is_not_loaded_goes_at_once, fixture) {
  wanted.pop_back();
  change();
  BOOST_TEST(only<model_gone>(inbox->take()).size() == 1u);
  BOOST_TEST(!handles->queue_of(1));
  // A model that comes back is another model.
  wanted = settings.models;
  change();
  BOOST_TEST(handles->models->find("blue")->index == 2u);
}

BOOST_FIXTURE_TEST_CASE(a_removed_model_whose_actors_are_dead_goes_too, fixture) {
  kill(handles->queue_of(0));
  kill(handles->backends.begin()->second);
  wanted.erase(wanted.begin());
  change();
  system.advance(30s, 100ms);
  BOOST_TEST(handles->queues.size() == 1u);
  BOOST_TEST(handles->backends.size() == 1u);
  BOOST_TEST(fatal == 0);
}

BOOST_FIXTURE_TEST_CASE(a_changed_model_restarts_when_it_is_next_idle, fixture) {
  load(0);
  wanted[0].command = {"another"};
  BOOST_TEST(change().restarting == names{"red"});
  system.advance(3s);
  BOOST_TEST(driver.runs[0]->stops.empty());
  give_everything_back(0);
  const auto before = handles->queue_of(0);
  runtime_ends(0);
  BOOST_TEST((handles->queue_of(0) == before));
  submit(0, 7);
  system.advance(1s);
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 2u);
  BOOST_TEST(handles->models->find("red")->index == 0u);
  tell_ready(*driver.runs[1]);
  system.run();
  BOOST_TEST(only<permit_granted>(inbox->take()).size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_restart_that_has_not_come_yet_is_told_again, fixture) {
  load(0);
  wanted[0].command = {"another"};
  change();
  BOOST_TEST(change().restarting == names{"red"});
  BOOST_TEST(change(true).restarting == names{"red"});
  system.advance(3s);
  give_everything_back(0);
  runtime_ends(0);
  BOOST_TEST(change(true).restarting.empty());
}

BOOST_FIXTURE_TEST_CASE(timeouts_of_a_backend_change_without_a_restart, fixture) {
  load(0);
  wanted[0].idle_unload_s = 5;
  const auto report = change();
  BOOST_TEST(report.changed == names{"red"});
  BOOST_TEST(report.restarting.empty());
  system.advance(10s, 100ms);
  BOOST_TEST(driver.runs[0]->stops.empty());  // a request is in flight
  give_everything_back(0);
  system.advance(10s, 100ms);
  give_everything_back(0);  // the credits, which the question whether it is idle called back
  BOOST_TEST(driver.runs[0]->stops.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(or_at_once_and_those_that_wait_wait_for_the_next_one, fixture) {
  load(0);
  wanted[0].command = {"another"};
  change(true);
  submit(0, 7);
  system.advance(3s);
  BOOST_TEST(driver.runs[0]->stops.empty());  // the request in flight has the drain timeout
  system.advance(60s, 100ms);
  runtime_ends(0);
  system.advance(1s);
  BOOST_TEST(only<ticket_refused>(inbox->take()).empty());
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 2u);
}

BOOST_FIXTURE_TEST_CASE(a_restart_that_waits_to_be_idle_can_be_hurried, fixture) {
  load(0);
  wanted[0].command = {"another"};
  change();
  system.advance(3s);
  BOOST_TEST((state(0) == lifecycle_state::ready));
  BOOST_TEST(change(true).restarting == names{"red"});  // the configuration is the same
  BOOST_TEST((state(0) == lifecycle_state::draining));
}

BOOST_FIXTURE_TEST_CASE(a_model_that_failed_is_tried_as_it_is_now, fixture) {
  submit(0, 100);
  tell_gone(*driver.runs[0], scheduling::exit_reason::start_failed);
  system.run();
  BOOST_TEST((state(0) == lifecycle_state::failed));
  wanted[0].command = {"another"};
  change();
  system.advance(100ms);
  BOOST_TEST(driver.runs.size() == 2u);
}

BOOST_FIXTURE_TEST_CASE(limits_change_at_once_and_no_runtime_stops, fixture) {
  load(0);
  inbox->take();
  submit(0, 7);
  system.advance(1s);
  give_back(0, 1);  // the credit; max_concurrent requests are in flight
  inbox->take();
  submit(0, 8);
  BOOST_TEST(only<permit_granted>(inbox->take()).empty());
  wanted[0].max_concurrent = 3;
  wanted[0].max_waiting = 0;
  BOOST_TEST(change().changed == names{"red"});
  BOOST_TEST(only<permit_granted>(inbox->take()).size() == 1u);
  submit(0, 9);
  BOOST_TEST(only<ticket_refused>(inbox->take()).size() == 1u);
  BOOST_TEST(driver.runs[0]->stops.empty());
}

BOOST_FIXTURE_TEST_CASE(while_the_pool_is_away_models_come_and_go, fixture) {
  load(0);
  kill(handles->leases);
  wanted.erase(wanted.begin());
  wanted.push_back(settings.models[0]);
  wanted.back().name = "green";
  change();
  system.advance(5s, 100ms);
  BOOST_TEST(handles->queues.size() == 2u);
  BOOST_TEST(handles->backends.size() == 2u);
  submit(2, 7);
  system.advance(1s);
  BOOST_TEST(driver.runs.back()->model == "green");
  BOOST_TEST(fatal == 0);
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace signalbox::test
