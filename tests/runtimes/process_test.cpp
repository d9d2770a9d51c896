// The process driver against real processes.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <set>

#include "tests/runtimes/support.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using namespace signalbox::runtimes::testing;
using namespace std::chrono_literals;
using scheduling::exit_reason;

namespace {

struct one_run {
  std::unique_ptr<runtime_driver> driver = make_driver(programs);
  event_log events;
  std::unique_ptr<runtime_handle> handle;

  explicit one_run(const config::model_options& model, duration start_timeout = patience) {
    handle = driver->start(model, request_of(7, start_timeout), events.callback());
  }
  explicit one_run(std::vector<std::string> arguments, duration start_timeout = patience)
      : one_run(sim_model(programs, std::move(arguments)), start_timeout) {}

  pid_t pid() { return static_cast<pid_t>(events.wait_for<runtime_spawned>().pid); }
  std::uint16_t port() { return events.wait_for<runtime_ready>().port; }
  runtime_exited exited() { return events.wait_for<runtime_exited>(); }
  void wait_until_released() { events.wait_for<runtime_released>(); }
};

bool holds(const std::vector<std::string>& lines, const std::string& part) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const auto& line) { return line.find(part) != std::string::npos; });
}

// The marker of a run, as its runtime sees it.
std::string marker_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/environ");
  for (std::string entry; std::getline(file, entry, '\0');) {
    if (entry.starts_with("SIGNALBOX_RUN=")) return entry.substr(entry.find('=') + 1);
  }
  throw std::runtime_error("no marker");
}

config::model_options shell_model(const std::string& script) {
  config::model_options model;
  model.name = "script";
  model.command = {"sh", "-c", script};
  return model;
}

}  // namespace

BOOST_AUTO_TEST_CASE(it_becomes_ready_and_stops_when_asked) {
  one_run r(std::vector<std::string>{});
  const auto ready = r.events.wait_for<runtime_ready>();
  BOOST_TEST(ready.incarnation == 7u);
  BOOST_TEST(ready.host == "127.0.0.1");
  BOOST_TEST(ready.address == "127.0.0.1");
  BOOST_TEST(send_once(ready.port, {.target = "/health"}).status() == 200u);
  const watched_process process(r.pid());
  r.handle->stop(patience);
  r.wait_until_released();
  BOOST_TEST((r.exited().reason == exit_reason::asked));
  BOOST_TEST(r.exited().detail == "exit status 0");
  BOOST_TEST(holds(r.exited().log_tail, "simulated runtime"));
  BOOST_TEST(process.wait_until_gone());
  BOOST_TEST(r.events.order() == "spawned ready exited released");
}

BOOST_AUTO_TEST_CASE(it_waits_while_the_runtime_answers_503) {
  one_run r({"--load-time", "0.2", "--load-mode", "503"});
  BOOST_TEST(send_once(r.port(), {.target = "/health"}).status() == 200u);
}

BOOST_AUTO_TEST_CASE(who_ignores_sigterm_is_killed_after_the_grace) {
  one_run r({"--fault", "ignore_term"});
  r.port();
  r.handle->stop(100ms);
  r.wait_until_released();
  BOOST_TEST((r.exited().reason == exit_reason::asked));
  BOOST_TEST(r.exited().detail == "killed, as it did not end within 0.1 s of SIGTERM");
}

BOOST_AUTO_TEST_CASE(a_shorter_grace_overrules_a_longer_one) {
  one_run r({"--fault", "ignore_term"});
  r.port();
  r.handle->stop(10 * patience);
  r.handle->stop(0ms);
  r.wait_until_released();
  BOOST_TEST((r.exited().reason == exit_reason::asked));
}

BOOST_AUTO_TEST_CASE(a_runtime_that_aborts_on_sigterm_did_as_asked) {
  one_run r({"--fault", "abort_on_term"});
  r.port();
  r.handle->stop(patience);
  r.wait_until_released();
  BOOST_TEST((r.exited().reason == exit_reason::asked));
  BOOST_TEST(r.exited().detail == "signal 6 (SIGABRT)");
}

BOOST_AUTO_TEST_CASE(a_child_left_behind_is_gone_before_release) {
  one_run r({"--fault", "leave_child"});
  r.port();
  const auto marker = marker_of(r.pid());
  BOOST_TEST(marked_processes(marker).size() == 3u);  // guard, runtime, child
  r.handle->stop(patience);
  r.wait_until_released();
  BOOST_TEST(marked_processes(marker).empty());
}

BOOST_AUTO_TEST_CASE(grandchildren_in_other_sessions_are_found) {
  // Each level starts the next in a session of its own, then the top one dies at once.
  one_run r(
      shell_model("setsid sh -c 'setsid sh -c \"sleep 600 & sleep 600\" & sleep 600' & "
                  "env; echo started; read forever; exit 0"));
  r.wait_until_released();  // its input is /dev/null
  const auto lines = r.exited().log_tail;
  BOOST_TEST(holds(lines, "started"));
  for (const auto& line : lines) {
    if (!line.starts_with("SIGNALBOX_RUN=")) continue;
    BOOST_TEST(marked_processes(line.substr(line.find('=') + 1)).empty());
    return;
  }
  BOOST_ERROR("the marker is not in the environment");
}

BOOST_AUTO_TEST_CASE(nothing_of_ours_leaks_into_the_runtime) {
  signal(SIGPIPE, SIG_IGN);                           // as a server does
  const unique_fd ours(open("/dev/null", O_RDONLY));  // without O_CLOEXEC
  one_run r(
      shell_model("ls /proc/self/fd | tr '\\n' ' '; echo; grep SigIgn /proc/self/status;"
                  "grep SigBlk /proc/self/status"));
  const auto lines = r.exited().log_tail;
  BOOST_TEST(holds(lines, "0 1 2 3 "));  // 3 is the folder that ls reads
  BOOST_TEST(!holds(lines, " 4 "));
  BOOST_TEST(holds(lines, "SigIgn:\t0000000000000000"));
  BOOST_TEST(holds(lines, "SigBlk:\t0000000000000000"));
}

BOOST_AUTO_TEST_CASE(a_failure_to_start_tells_its_log) {
  one_run r({"--fault", "fail_start"});
  r.wait_until_released();
  const auto exited = r.exited();
  BOOST_TEST((exited.reason == exit_reason::start_failed));
  BOOST_TEST(exited.detail.starts_with("exit status 3 before it was ready"));
  BOOST_TEST(holds(exited.log_tail, "simulated failure to start"));
  BOOST_TEST(r.events.order() == "spawned exited released");
}

BOOST_AUTO_TEST_CASE(not_ready_in_time_is_killed) {
  one_run r({"--load-time", "600"}, 100ms);
  r.wait_until_released();
  BOOST_TEST((r.exited().reason == exit_reason::start_timeout));
  const auto& detail = r.exited().detail;
  BOOST_TEST(detail.starts_with("not ready in 0.1 s: nothing answered GET /health on port "));
  BOOST_TEST(detail.ends_with(" (Connection refused)"));
}

BOOST_AUTO_TEST_CASE(a_load_that_fails_says_what_its_health_answered) {
  one_run r({"--load-time", "600", "--load-mode", "503"}, 500ms);
  r.wait_until_released();
  BOOST_TEST(r.exited().detail.ends_with(" was answered with HTTP status 503"));
}

BOOST_AUTO_TEST_CASE(health_that_never_answers_is_not_ready) {
  one_run r({"--fault", "slow_health=600"}, 200ms);
  r.wait_until_released();
  BOOST_TEST((r.exited().reason == exit_reason::start_timeout));
}

BOOST_AUTO_TEST_CASE(crashes_are_told_apart) {
  const auto reason_of = [](const std::string& fault) {
    one_run r(std::vector<std::string>{"--fault", fault});
    r.wait_until_released();
    return r.exited();
  };
  BOOST_TEST((reason_of("segfault").reason == exit_reason::segfault));
  BOOST_TEST((reason_of("oom").reason == exit_reason::oom));
  one_run r(std::vector<std::string>{"--request-faults"});
  http_client(r.port()).send({.body = R"({"model":"demo","messages":[{"role":"user",
    "content":"x"}],"stream":true})",
                              .fault = "die_midstream=1"});
  r.wait_until_released();
  BOOST_TEST((r.exited().reason == exit_reason::crashed));
  BOOST_TEST(r.exited().detail == "signal 6 (SIGABRT)");
  BOOST_TEST(r.events.order() == "spawned ready exited released");
}

BOOST_AUTO_TEST_CASE(an_unasked_exit_is_a_crash_whatever_its_status) {
  one_run r(std::vector<std::string>{});
  r.port();
  kill(r.pid(), SIGTERM);  // not by us: it ends with status 0
  r.wait_until_released();
  BOOST_TEST((r.exited().reason == exit_reason::crashed));
  BOOST_TEST(r.exited().detail == "exit status 0");
}

BOOST_AUTO_TEST_CASE(killed_from_outside_is_not_out_of_memory) {
  one_run r(std::vector<std::string>{});
  r.port();
  kill(r.pid(), SIGKILL);
  r.wait_until_released();
  BOOST_TEST((r.exited().reason == exit_reason::killed));
  BOOST_TEST(r.exited().detail == "signal 9 (SIGKILL), which the gateway did not send");
}

BOOST_AUTO_TEST_CASE(a_check_tells_whether_it_answers) {
  one_run r(std::vector<std::string>{});
  r.handle->check();  // no effect, as it is not ready
  const auto port = r.port();
  r.handle->check();
  BOOST_TEST(r.events.wait_for<runtime_checked>().is_healthy);
  kill(r.pid(), SIGSTOP);
  r.handle->check();
  const auto failed = r.events.wait_for_next<runtime_checked>(1);
  BOOST_TEST(!failed.is_healthy);
  BOOST_TEST(failed.incarnation == 7u);
  BOOST_TEST(failed.detail ==
             "GET /health on port " + std::to_string(port) + " was not answered in 2 s");
  r.handle->stop(0ms);  // a stopped process dies of it, too
  r.wait_until_released();
  BOOST_TEST(r.events.order() == "spawned ready checked checked exited released");
}

BOOST_AUTO_TEST_CASE(a_missing_program_is_reported_not_thrown) {
  config::model_options model;
  model.name = "none";
  model.command = {"no-such-runtime-anywhere", "{port}"};
  one_run r(model);
  r.wait_until_released();
  BOOST_TEST((r.exited().reason == exit_reason::start_failed));
  BOOST_TEST(r.exited().detail == "command not found: no-such-runtime-anywhere");
  BOOST_TEST(r.events.order() == "exited released");
}

BOOST_AUTO_TEST_CASE(a_program_that_cannot_be_run_is_reported) {
  const std::string path = programs + "/not-a-program-" + std::to_string(getpid());
  std::ofstream(path) << "\x7f"
                         "ELF, not really";
  BOOST_REQUIRE(chmod(path.c_str(), 0755) == 0);
  config::model_options model;
  model.name = "none";
  model.command = {path};
  one_run r(model);
  r.wait_until_released();
  unlink(path.c_str());
  BOOST_TEST((r.exited().reason == exit_reason::start_failed));
  BOOST_TEST(r.exited().detail.find("cannot run") == 0u);
  BOOST_TEST(r.events.order() == "exited released");
}

BOOST_AUTO_TEST_CASE(destroying_the_handle_kills) {
  one_run r({"--fault", "ignore_term"});
  r.port();
  const watched_process process(r.pid());
  r.handle.reset();
  BOOST_TEST(r.events.order() == "spawned ready exited released");
  BOOST_TEST(process.wait_until_gone());
}

BOOST_AUTO_TEST_CASE(destroying_the_driver_kills_although_a_handle_is_left) {
  one_run r({"--fault", "ignore_term"});
  r.port();
  r.driver.reset();
  BOOST_TEST(r.events.order() == "spawned ready exited released");
  r.handle->stop(0ms);  // harmless
  r.handle.reset();
}

BOOST_AUTO_TEST_CASE(when_the_guard_is_killed_the_whole_tree_goes) {
  one_run r({"--fault", "leave_child", "--fault", "ignore_term"});
  r.port();
  const auto marker = marker_of(r.pid());
  BOOST_TEST(marked_processes(marker).size() == 3u);
  kill(parent_of(r.pid()), SIGKILL);
  r.wait_until_released();
  BOOST_TEST(marked_processes(marker).empty());
  BOOST_TEST((r.exited().reason == exit_reason::crashed));
  BOOST_TEST(r.events.order() == "spawned ready exited released");
}

BOOST_AUTO_TEST_CASE(when_the_guard_is_told_to_go_it_takes_the_tree_along) {
  one_run r({"--fault", "leave_child", "--fault", "ignore_term"});
  r.port();
  const auto marker = marker_of(r.pid());
  kill(parent_of(r.pid()), SIGTERM);
  r.wait_until_released();
  BOOST_TEST(marked_processes(marker).empty());
}

BOOST_AUTO_TEST_CASE(many_at_once_leak_nothing) {
  const auto driver = make_driver(programs);
  const auto round = [&] {
    std::vector<event_log> logs(12);
    std::vector<std::unique_ptr<runtime_handle>> handles;
    for (std::size_t i = 0; i < logs.size(); ++i) {
      handles.push_back(driver->start(sim_model(programs), request_of(i), logs[i].callback()));
    }
    std::set<std::uint16_t> ports;
    for (auto& log : logs) ports.insert(log.wait_for<runtime_ready>().port);
    BOOST_TEST(ports.size() == logs.size());
    for (std::size_t i = 0; i < handles.size(); ++i) {
      if (i % 3 != 0) handles[i]->stop(i % 3 == 1 ? duration(patience) : duration::zero());
    }
    handles.clear();
    for (auto& log : logs) BOOST_TEST(log.order() == "spawned ready exited released");
  };
  round();
  const auto before = open_files();
  round();
  round();
  BOOST_TEST(open_files() == before);
}

BOOST_AUTO_TEST_CASE(stops_that_race_with_starts_end_well) {
  const auto driver = make_driver(programs);
  std::vector<event_log> logs(20);
  std::vector<std::unique_ptr<runtime_handle>> handles;
  for (std::size_t i = 0; i < logs.size(); ++i) {
    handles.push_back(driver->start(sim_model(programs), request_of(i), logs[i].callback()));
    if (i % 2 == 0) handles.back()->stop(duration::zero());
    if (i % 4 == 1) handles.back()->stop(patience);
    if (i % 4 == 3) handles.back().reset();
  }
  for (auto& log : logs) {
    log.wait_for<runtime_released>();
    BOOST_TEST((log.wait_for<runtime_exited>().reason == exit_reason::asked));
  }
}
