// A backend whose runtime is suspected, and one whose runtime is somebody else's.
#include "tests/actors/model_backend_fixture.hpp"

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(model_backend_watch_tests)
namespace {

using scheduling::exit_reason;
using scheduling::lifecycle_state;

// A second backend, of a server that somebody else starts.
struct external_fixture : backend_fixture {
  external_fixture() {
    auto& model = settings.models[1];
    model.driver = config::driver_kind::external;
    model.gpu_memory = 0;
    outside = spawn_model_backend(*system, {served(settings, 1, recorder), 8, &settings, &driver,
                                            &board, queue, leases, crashes});
    system.run();
  }
  ~external_fixture() {
    caf::anon_send_exit(outside, caf::exit_reason::kill);
    system.run();
  }

  lifecycle_state state() const { return board.snapshot()->model_state("blue"); }

  model_backend_actor outside;
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_runtime_that_hangs_is_killed_and_its_last_words_are_recorded,
                        backend_fixture) {
  settings.models[0].first_byte_timeout_s = 1;
  send(model_changed{served(settings, 0, recorder)});
  become_ready();
  const auto run = driver.runs[0];
  send(runtime_signs{.run = 1, .deadlines = 2});
  for (int i = 1; i <= 3; ++i) {
    BOOST_TEST(run->checks == i);
    BOOST_TEST(run->stops.empty());
    run->tell(runtime_checked{1, false, "GET /health on port 1 was not answered in 2 s"});
    system.run();
    system.advance(500ms);
  }
  BOOST_TEST(heard("close 1"));
  BOOST_REQUIRE_EQUAL(run->stops.size(), 1u);
  BOOST_TEST((run->stops[0] == 0s));
  BOOST_TEST(records.empty());
  tell_gone(*run, exit_reason::asked, "signal 9 (SIGKILL)", {"its last words"});
  system.run();
  BOOST_REQUIRE_EQUAL(records.size(), 1u);
  BOOST_TEST(records[0].reason == "hung");
  BOOST_TEST(records[0].detail ==
             "2 deadlines passed in a row without a byte, and GET /health on port 1 was not "
             "answered in 2 s");
  BOOST_TEST(records[0].log_tail.at(0) == "its last words");
  BOOST_TEST(heard("release 11"));
}

BOOST_FIXTURE_TEST_CASE(a_refused_connection_is_checked_and_the_queue_opened_again,
                        backend_fixture) {
  become_ready();
  send(runtime_signs{.run = 1, .refused = true});
  BOOST_TEST(driver.runs[0]->checks == 1);
  journal other_log;
  send(fake_queue(*system, other_log));  // a queue that starts anew meanwhile stays closed
  BOOST_TEST(count_of("open", other_log) == 0);
  driver.runs[0]->tell(runtime_checked{1, true, {}});
  system.run();
  BOOST_TEST(count_of("open", other_log) == 1);
}

BOOST_FIXTURE_TEST_CASE(an_external_runtime_that_fails_has_failed_until_it_is_back,
                        external_fixture) {
  const std::string refusal = "refuse model_failed until ready";
  BOOST_TEST((state() == lifecycle_state::starting));
  driver.runs[0]->tell(runtime_checked{1, false, "nothing answered"});
  system.run();
  BOOST_TEST((state() == lifecycle_state::failed));
  BOOST_TEST(count_of(refusal, log) == 1);
  journal other_log;
  caf::anon_send(outside, fake_queue(*system, other_log));  // one that starts anew is told
  system.run();
  BOOST_TEST(count_of(refusal, other_log) == 1);
  tell_ready(*driver.runs[0]);
  system.run();
  BOOST_TEST((state() == lifecycle_state::ready));
  tell_gone(*driver.runs[0], exit_reason::crashed);
  system.run();
  BOOST_TEST(count_of(refusal, other_log) == 2);
  system.advance(2s);
  BOOST_REQUIRE_EQUAL(driver.runs.size(), 2u);
  BOOST_TEST((state() == lifecycle_state::failed));  // while it is looked for
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
