#include "actors/gpu_lease_actor.hpp"

#include "tests/actors/support.hpp"

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(gpu_lease_tests)
namespace {

struct fixture {
  fixture() { system.run(); }

  ~fixture() {
    caf::anon_send_exit(leases, caf::exit_reason::kill);
    system.run();
  }

  lease_holder_actor holder(journal& log) {
    return (*system).spawn([&log]() -> lease_holder_actor::behavior_type {
      return {
          [&log](const lease_granted& m) {
            log.push_back(fmt::format("granted {} gpu {}", m.token, indexes_of(m.gpus)));
          },
          [&log](const lease_refused& m) {
            log.push_back(fmt::format("refused {}", to_string(m.why)));
          },
          [&log](const yield_lease& m) { log.push_back(fmt::format("yield {}", m.token)); },
      };
    });
  }

  void acquire(holder_id id, const lease_holder_actor& who,
               std::uint64_t memory = 16 * config::gib) {
    scheduling::lease_request r;
    r.holder = id;
    r.need = {memory, 1};
    caf::anon_send(leases, acquire_lease{r}, who);
    system.run();
  }

  void report(holder_id id, std::uint32_t waiting, std::uint32_t in_use) {
    scheduling::holder_demand d;
    d.of(work_class::realtime) = {waiting, in_use, waiting > 0 ? system.now() : never,
                                  system.now()};
    caf::anon_send(leases, demand_reported{id, d});
    system.run();
  }

  bool has_metric(const std::string& line) const {
    return recorder.render().find(line + "\n") != std::string::npos;
  }

  simulated_system system;
  config::settings settings = two_models();
  metrics recorder{settings, 1};
  status_board board;
  gpu_lease_actor leases = spawn_gpu_lease(*system, settings, recorder, board);
  journal red_log, blue_log;
  lease_holder_actor red = holder(red_log), blue = holder(blue_log);
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(room_goes_from_the_idle_to_who_asks, fixture) {
  acquire(0, red);
  BOOST_TEST(red_log == journal{"granted 1 gpu 0"}, boost::test_tools::per_element());
  BOOST_TEST(has_metric("signalbox_lease_holders{gpu=\"0\"} 1"));
  BOOST_TEST(has_metric("signalbox_lease_bytes{gpu=\"0\"} 17179869184"));
  report(0, 0, 1);
  report(0, 0, 0);
  acquire(1, blue);
  report(1, 1, 0);
  system.advance(6s, 100ms);  // min_residency_s
  BOOST_TEST(red_log.back() == "yield 1");
  BOOST_TEST(blue_log.empty());  // red still runs
  BOOST_TEST(has_metric("signalbox_swaps_total 1"));
  caf::anon_send(leases, release_lease{0, 1});
  system.run();
  BOOST_TEST(blue_log == journal{"granted 2 gpu 0"}, boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(the_board_has_the_leases, fixture) {
  acquire(0, red);
  const auto held = board.snapshot();
  const auto& lease = held->leases.at(1);
  BOOST_TEST(lease.holder == "red");
  BOOST_TEST((lease.gpus == scheduling::gpu_set{{0, 16 * config::gib}}));
  BOOST_TEST(!lease.yield_asked);
  BOOST_TEST(held->gpus.at(0).bytes == 24 * config::gib);
  BOOST_TEST(held->gpus.at(0).used == 16 * config::gib);
  report(0, 0, 0);
  BOOST_TEST((board.snapshot() == held));
  acquire(1, blue);
  system.advance(6s, 100ms);  // min_residency_s
  BOOST_TEST(board.snapshot()->leases.at(1).yield_asked);
  caf::anon_send_exit(leases, caf::exit_reason::kill);
  leases = spawn_gpu_lease(*system, settings, recorder, board);
  system.run();
  BOOST_TEST(board.snapshot()->leases.empty());
  BOOST_TEST(board.snapshot()->gpus.at(0).used == 0u);
}

BOOST_FIXTURE_TEST_CASE(a_release_under_an_older_token_is_ignored, fixture) {
  acquire(0, red);
  caf::anon_send(leases, release_lease{0, 77});
  system.run();
  BOOST_TEST(has_metric("signalbox_lease_holders{gpu=\"0\"} 1"));
}

BOOST_FIXTURE_TEST_CASE(a_holder_started_anew_holds_nothing, fixture) {
  acquire(0, red);
  acquire(1, blue);
  caf::anon_send(leases, holder_restarted{0});
  system.run();
  BOOST_TEST(blue_log == journal{"granted 2 gpu 0"}, boost::test_tools::per_element());
  caf::anon_send(leases, holder_restarted{1});
  system.run();
  BOOST_TEST(has_metric("signalbox_lease_holders{gpu=\"0\"} 0"));
}

BOOST_FIXTURE_TEST_CASE(a_request_that_was_withdrawn_is_not_granted, fixture) {
  acquire(0, red);
  acquire(1, blue);
  caf::anon_send(leases, withdraw_acquire{1});
  caf::anon_send(leases, release_lease{0, 1});
  system.run();
  BOOST_TEST(blue_log.empty());
}

BOOST_FIXTURE_TEST_CASE(what_never_fits_is_refused, fixture) {
  acquire(0, red, 25 * config::gib);
  BOOST_TEST(red_log == journal{"refused does_not_fit"}, boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(who_waited_long_enough_gets_its_turn_without_another_message, fixture) {
  acquire(0, red);
  report(0, 5, 2);
  acquire(1, blue);
  report(1, 1, 0);
  system.advance(29s, 100ms);
  BOOST_TEST(red_log.size() == 1u);
  system.advance(2s, 100ms);  // max_swap_wait_s is over: rule 2b, by a tick
  BOOST_TEST(red_log.back() == "yield 1");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
