// Nothing of a runtime outlives its lease, whatever it does to hide, and its guard's death.
#include <signal.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <fstream>

#include "system/children.hpp"
#include "system/process_table.hpp"
#include "system/start_program.hpp"
#include "tests/runtimes/support.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using namespace signalbox::runtimes::testing;

namespace {

using clock_type = std::chrono::steady_clock;

// A number that only this test sleeps for, as a word that can be found in /proc.
std::string own_time(int number) {
  return "600." + std::to_string(getpid()) + std::to_string(number);
}

std::vector<process> sleepers(const std::string& time) {
  return find_processes([&](const process& p) {
    std::ifstream file("/proc/" + std::to_string(p.pid) + "/cmdline");
    std::string program, argument;
    std::getline(file, program, '\0');
    std::getline(file, argument, '\0');
    return p.name == "sleep" && argument == time;
  });
}

bool wait_for_sleepers(const std::string& time, std::size_t count) {
  const auto deadline = clock_type::now() + patience;
  while (sleepers(time).size() != count) {
    if (clock_type::now() > deadline) return false;
  }
  return true;
}

// Runs a script and kills its guard once the script has started as many sleepers. `before` is a
// signal that these get before that; 0: none.
void kill_the_guard_of(const std::string& script, const std::string& time, std::size_t count,
                       int before = 0) {
  const auto driver = make_driver(programs);
  config::model_options model;
  model.name = "script";
  model.command = {"sh", "-c", script};
  event_log events;
  const auto handle = driver->start(model, request_of(1), events.callback());
  const auto pid = static_cast<pid_t>(events.wait_for<runtime_spawned>().pid);
  BOOST_REQUIRE(wait_for_sleepers(time, count));
  for (const auto& p : sleepers(time)) kill(p.pid, before);
  kill(parent_of(pid), SIGKILL);
  events.wait_for<runtime_released>();
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_daemon_without_an_environment_does_not_outlive_its_guard) {
  const auto time = own_time(1);
  // As daemon(3): a child in a session of its own whose parent ends.
  kill_the_guard_of("(env -i setsid sleep " + time + " &); exec sleep 700", time, 1);
  BOOST_TEST(sleepers(time).empty());
}

BOOST_AUTO_TEST_CASE(neither_do_its_children_in_sessions_of_their_own) {
  const auto time = own_time(2);
  kill_the_guard_of("(env -i setsid sh -c 'setsid sleep " + time + " & setsid sh -c \"sleep " +
                        time + "\" & wait' &); exec sleep 700",
                    time, 2);
  BOOST_TEST(sleepers(time).empty());
}

BOOST_AUTO_TEST_CASE(one_that_was_stopped_does_not_either) {
  const auto time = own_time(3);
  kill_the_guard_of("(env -i setsid sleep " + time + " &); exec sleep 700", time, 1, SIGSTOP);
  BOOST_TEST(sleepers(time).empty());
}

BOOST_AUTO_TEST_CASE(our_other_children_are_left_alone) {
  const auto time = own_time(4), others = own_time(5);
  const auto own = start_program({.argv = {"sleep", others}, .environment = {}});
  kill_the_guard_of("(env -i setsid sleep " + time + " &); exec sleep 700", time, 1);
  BOOST_TEST(sleepers(time).empty());
  BOOST_TEST(sleepers(others).size() == 1u);
  kill(own, SIGKILL);
  int status = 0;
  BOOST_TEST(wait_for_child(own, &status) == own);
  BOOST_TEST(status == SIGKILL);
}
