// The parts of the drivers that need no process.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <fstream>

#include "runtimes/exit_report.hpp"
#include "runtimes/launch.hpp"
#include "runtimes/log_tail.hpp"
#include "runtimes/oom_watch.hpp"
#include "runtimes/port_pool.hpp"
#include "tests/runtimes/support.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using scheduling::exit_reason;
using signalbox::runtimes::testing::own_folder;

namespace {

constexpr int exit_status(int code) {
  return code << 8;
}  // as wait() encodes it

exit_report explain(std::optional<int> status, bool ready = true) {
  return explain_exit({.was_ready = ready, .wait_status = status, .log_tail = {}});
}

std::vector<std::string> lines_of(const std::vector<std::string>& pieces) {
  log_tail log([](const std::string&) {});
  for (const auto& piece : pieces) log.add(piece);
  log.end();
  return log.lines();
}

}  // namespace

BOOST_AUTO_TEST_CASE(exit_reasons_of_a_ready_runtime) {
  BOOST_TEST((explain(SIGSEGV).reason == exit_reason::segfault));
  BOOST_TEST((explain(SIGBUS).reason == exit_reason::segfault));
  BOOST_TEST((explain(exit_status(139)).reason == exit_reason::segfault));
  BOOST_TEST((explain(SIGABRT).reason == exit_reason::crashed));
  BOOST_TEST((explain(exit_status(0)).reason == exit_reason::crashed));
  BOOST_TEST((explain(std::nullopt).reason == exit_reason::crashed));
  BOOST_TEST(explain(SIGABRT).detail == "signal 6 (SIGABRT)");
  BOOST_TEST(explain(exit_status(3)).detail == "exit status 3");
}

// Out of memory is what the kernel says, not a guess.
BOOST_AUTO_TEST_CASE(who_killed_it_is_told_apart) {
  for (const int status : {SIGKILL, exit_status(137)}) {
    for (const bool kernel_killed : {true, false}) {
      for (const bool was_ready : {true, false}) {
        const exit_facts facts{.was_ready = was_ready,
                               .wait_status = status,
                               .kernel_killed = kernel_killed,
                               .log_tail = {"CUDA out of memory, an hour ago"}};
        const auto expected = kernel_killed ? exit_reason::oom : exit_reason::killed;
        BOOST_TEST((explain_exit(facts).reason == expected));
      }
    }
  }
  BOOST_TEST(
      (explain_exit({.wait_status = SIGSEGV, .kernel_killed = true, .log_tail = {}}).reason ==
       exit_reason::segfault));
}

BOOST_AUTO_TEST_CASE(the_kernel_counts_whom_it_killed_for_want_of_memory) {
  const auto file = own_folder() + "/vmstat";
  const auto write = [&](int kills) {
    std::ofstream(file) << "nr_free_pages 7\noom_kill " << kills << "\nzone_reclaim_success 9\n";
  };
  write(4);
  oom_watch watch(file);
  BOOST_TEST(!watch.has_killed());
  write(5);
  BOOST_TEST(watch.has_killed());
  watch.sample();
  BOOST_TEST(watch.has_killed());  // the runtime's end may be seen only now
  watch.sample();
  BOOST_TEST(!watch.has_killed());  // that was another one
  BOOST_TEST(!oom_watch("/nowhere").has_killed());
}

BOOST_AUTO_TEST_CASE(a_kill_after_the_grace_is_said_as_one) {
  using std::chrono::seconds;
  const auto explain_stop = [](int status, duration overstayed) {
    return explain_exit({.stop_asked = true,
                         .overstayed_grace = overstayed,
                         .wait_status = status,
                         .log_tail = {}})
        .detail;
  };
  BOOST_TEST(explain_stop(SIGKILL, seconds(10)) ==
             "killed, as it did not end within 10 s of SIGTERM");
  BOOST_TEST(explain_stop(SIGKILL, {}) == "signal 9 (SIGKILL)");  // there was no grace
  BOOST_TEST(explain_stop(exit_status(0), seconds(10)) == "exit status 0");
}

BOOST_AUTO_TEST_CASE(a_failed_load_says_what_was_tried_and_what_answered) {
  using std::chrono::seconds;
  struct scene {
    probe_result result;
    std::string said;
  };
  const std::string question = "GET /health on port 4711";
  const scene scenes[] = {
      {{probe_outcome::failed, "", "Connection refused"},
       "nothing answered GET /health on port 4711 (Connection refused)"},
      {{probe_outcome::other_status, "127.0.0.1", "HTTP status 503"},
       "GET /health on port 4711 was answered with HTTP status 503"},
      {{probe_outcome::timed_out, "127.0.0.1", "The socket was closed"},
       "GET /health on port 4711 was not answered in 2 s"},
  };
  for (const auto& [result, said] : scenes) {
    const auto probe = explain_probe(question, result, seconds(2));
    BOOST_TEST(probe == said);
    exit_facts facts{.start_timed_out = true,
                     .start_timeout = seconds(9),
                     .wait_status = SIGKILL,
                     .last_probe = probe,
                     .log_tail = {}};
    BOOST_TEST(explain_exit(facts).detail == "not ready in 9 s: " + said);
    facts.start_timed_out = false;
    facts.wait_status = exit_status(3);
    BOOST_TEST(explain_exit(facts).detail == "exit status 3 before it was ready: " + said);
    facts.was_ready = true;
    BOOST_TEST(explain_exit(facts).detail == "exit status 3");
  }
}

BOOST_AUTO_TEST_CASE(exit_reasons_before_it_was_ready) {
  BOOST_TEST((explain(exit_status(3), false).reason == exit_reason::start_failed));
  BOOST_TEST((explain(SIGSEGV, false).reason == exit_reason::segfault));
  const exit_facts late{.start_timed_out = true,
                        .start_timeout = std::chrono::milliseconds(1500),
                        .wait_status = SIGKILL,
                        .log_tail = {}};
  BOOST_TEST((explain_exit(late).reason == exit_reason::start_timeout));
  BOOST_TEST(explain_exit(late).detail == "not ready in 1.5 s");
}

BOOST_AUTO_TEST_CASE(the_log_tells_of_too_little_memory) {
  const exit_facts facts{.was_ready = true,
                         .wait_status = exit_status(1),
                         .log_tail = {"loading", "torch: CUDA Out Of Memory. Tried to"}};
  BOOST_TEST((explain_exit(facts).reason == exit_reason::oom));
}

BOOST_AUTO_TEST_CASE(who_asked_gets_asked_whatever_the_status) {
  for (const int status : {exit_status(0), exit_status(134), exit_status(139), SIGABRT, SIGKILL}) {
    const exit_facts facts{.stop_asked = true, .wait_status = status, .log_tail = {}};
    BOOST_TEST((explain_exit(facts).reason == exit_reason::asked));
  }
}

BOOST_AUTO_TEST_CASE(log_lines_are_put_together_from_pieces) {
  const std::vector<std::string> expected{"one", "two", "three", "10%", "20%", "end"};
  const auto got = lines_of({"on", "e\ntwo\r\n\nth", "ree\n10%\r20%\ren", "d"});
  BOOST_TEST(got == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(log_is_bounded) {
  log_tail log([](const std::string&) {});
  for (int i = 0; i < 1000; ++i) log.add(std::to_string(i) + "\n");
  BOOST_TEST(log.lines().size() == log_tail::lines_kept);
  BOOST_TEST(log.lines().back() == "999");
  const auto lines = lines_of({std::string(10'000, 'x'), std::string(10'000, 'x') + "\nnext\n"});
  BOOST_REQUIRE(lines.size() == 2u);
  BOOST_TEST(lines[0].size() == log_tail::max_line_bytes);
  BOOST_TEST(lines[1] == "next");
}

BOOST_AUTO_TEST_CASE(arguments_are_filled_in) {
  config::model_options model;
  model.name = "logical";
  model.upstream_model = "real";
  model.command = {"serve", "--port={port}", "--model", "{model}", "{data}/cache"};
  const std::vector<std::string> expected{"serve", "--port=1234", "--model", "real", "/d/cache"};
  BOOST_TEST(make_arguments(model, 1234, "/d") == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(environment_is_small_and_can_be_overruled) {
  config::model_options model;
  model.environment = {"LANG=C.UTF-8", "EXTRA=a=b", "SIGNALBOX_RUN=mine"};
  run_request request;
  request.gpus = {{3, config::gib}};
  const auto entries = make_environment(model, request, "id");
  const auto count = [&](const std::string& entry) {
    return std::count(entries.begin(), entries.end(), entry);
  };
  BOOST_TEST(count("LANG=C.UTF-8") == 1);
  BOOST_TEST(count("EXTRA=a=b") == 1);
  BOOST_TEST(count("CUDA_VISIBLE_DEVICES=3") == 1);
  BOOST_TEST(count("CUDA_DEVICE_ORDER=PCI_BUS_ID") == 1);
  BOOST_TEST(count("SIGNALBOX_RUN=id") == 1);
  BOOST_TEST(entries.size() <= 7u);  // and PATH, HOME
  request.gpus = {{0, config::gib}, {2, config::gib}};
  const auto several = make_environment(model, request, "id");
  BOOST_TEST(std::count(several.begin(), several.end(), "CUDA_VISIBLE_DEVICES=0,2") == 1);
  request.gpus = {};
  const auto without = make_environment(model, request, "id");
  BOOST_TEST(std::count(without.begin(), without.end(), "CUDA_VISIBLE_DEVICES=") == 1);
}

BOOST_AUTO_TEST_CASE(ports_are_not_given_twice) {
  port_pool ports;
  std::set<std::uint16_t> seen;
  for (int i = 0; i < 100; ++i) BOOST_TEST(seen.insert(ports.take()).second);
}
