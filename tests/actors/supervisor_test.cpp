#include "actors/supervisor.hpp"

#include <algorithm>

#include "tests/actors/supervisor_fixture.hpp"

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(supervisor_tests)
namespace {

using fixture = supervisor_fixture;

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_dead_queue_is_replaced_and_its_runtime_lives_on, fixture) {
  load(0);
  const auto before = handles->queue_of(0);
  kill(before);
  system.advance(1s);
  BOOST_TEST((handles->queue_of(0) != before));
  const auto restarts = only<queue_restarted>(inbox->take());
  BOOST_REQUIRE_EQUAL(restarts.size(), 1u);
  BOOST_TEST(restarts[0].life == 1u);
  BOOST_TEST(!driver.runs[0]->destroyed);
  // A shard then introduces itself with the units that it has in flight, and sends its tickets.
  caf::anon_send(handles->queue_of(0), shard_attached{0, inbox, {{backends[0], 1}}, 1});
  submit(0, 7);
  give_back(0, 1);  // the credit that it got in between
  const auto permits = only<permit_granted>(inbox->take());
  BOOST_REQUIRE_EQUAL(permits.size(), 1u);
  BOOST_TEST(permits[0].ticket == 7u);
  BOOST_TEST(permits[0].endpoint->port == 18000);
}

BOOST_FIXTURE_TEST_CASE(a_dead_backend_frees_its_lease_and_is_loaded_again, fixture) {
  load(0);
  kill(handles->backends.at(1));
  BOOST_TEST(driver.runs[0]->destroyed);
  BOOST_TEST(!board.snapshot()->backends.contains(1));
  BOOST_TEST(board.snapshot()->backends.contains(2));  // blue's
  submit(0, 7);
  system.advance(2s);
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 2u);  // under a new lease
  BOOST_TEST(board.snapshot()->backends.at(3).token ==
             (std::uint64_t{1} << 32) + 2);  // a new one: ids are not reused
  BOOST_TEST(only<permit_granted>(inbox->take()).empty());
  tell_ready(*driver.runs[1]);
  system.run();
  give_back(0, 2);  // the request that died with the runtime, and the credit
  const auto permits = only<permit_granted>(inbox->take());
  BOOST_REQUIRE_EQUAL(permits.size(), 1u);
  BOOST_TEST(permits[0].endpoint->backend == 3u);
}

BOOST_FIXTURE_TEST_CASE(the_backends_end_with_the_lease_pool_and_start_anew, fixture) {
  load(0);
  const auto before = *handles;
  kill(before.leases);
  BOOST_TEST(driver.runs[0]->destroyed);
  system.advance(2s);
  BOOST_TEST((handles->leases != before.leases));
  BOOST_TEST(handles->backends.size() == 2u);
  BOOST_TEST(handles->backends.begin()->first == 3u);
  BOOST_TEST((handles->queue_of(0) == before.queue_of(0)));
  submit(1, 8);
  system.advance(1s);
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 2u);
  BOOST_TEST(driver.runs[1]->model == "blue");
}

BOOST_FIXTURE_TEST_CASE(a_lease_pool_without_an_epoch_is_started_until_it_has_one, fixture) {
  load(0);
  BOOST_TEST(epochs_asked == 1u);
  is_epoch_missing = true;
  kill(handles->leases);
  system.advance(500ms);
  BOOST_TEST(epochs_asked > 2u);
  submit(1, 8);
  BOOST_TEST(driver.runs.size() == 1u);
  is_epoch_missing = false;
  system.advance(5s, 100ms);
  BOOST_TEST(fatal == 0);
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 2u);
  BOOST_TEST(driver.runs[1]->model == "blue");
}

BOOST_FIXTURE_TEST_CASE(too_many_deaths_are_fatal_once, fixture) {
  for (int i = 0; i < 20; ++i) {
    kill(handles->queue_of(1));
    system.advance(11s, 100ms);
    if (fatal > 0) break;
    BOOST_REQUIRE(i < 19);
  }
  kill(handles->queue_of(0));
  kill(supervisor);
  BOOST_TEST(fatal == 1);
}

BOOST_FIXTURE_TEST_CASE(after_a_stop_a_death_is_no_accident, fixture) {
  caf::anon_send(supervisor, stop_all{});
  system.run();
  const auto before = handles;
  kill(handles->queue_of(0));
  kill(handles->leases);
  system.advance(20s, 100ms);
  BOOST_TEST((handles == before));
  BOOST_TEST(fatal == 0);
}

BOOST_FIXTURE_TEST_CASE(two_models_that_do_not_fit_together_take_turns, fixture) {
  load(0);
  submit(1, 8);
  give_back(0, 1);
  system.advance(6s, 100ms);  // min_residency_s
  BOOST_TEST(driver.runs[0]->stops.empty());
  give_back(0, 2);  // the credits, called back
  BOOST_REQUIRE_EQUAL(driver.runs[0]->stops.size(), 1u);
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 1u);  // the memory is not free yet
  tell_gone(*driver.runs[0], scheduling::exit_reason::asked);
  system.run();
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 2u);
  tell_ready(*driver.runs[1]);
  system.run();
  const auto permits = only<permit_granted>(inbox->take());
  BOOST_REQUIRE_EQUAL(permits.size(), 1u);
  BOOST_TEST(permits[0].ticket == 8u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
