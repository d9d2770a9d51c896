// The parts of the drivers that need no process.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>

#include "runtimes/exit_report.hpp"
#include "runtimes/launch.hpp"
#include "runtimes/log_tail.hpp"
#include "runtimes/port_pool.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using scheduling::exit_reason;

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
  BOOST_TEST((explain(SIGKILL).reason == exit_reason::oom));
  BOOST_TEST((explain(exit_status(137)).reason == exit_reason::oom));
  BOOST_TEST((explain(SIGABRT).reason == exit_reason::crashed));
  BOOST_TEST((explain(exit_status(0)).reason == exit_reason::crashed));
  BOOST_TEST((explain(std::nullopt).reason == exit_reason::crashed));
  BOOST_TEST(explain(SIGABRT).detail == "signal 6 (SIGABRT)");
  BOOST_TEST(explain(exit_status(3)).detail == "exit status 3");
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
