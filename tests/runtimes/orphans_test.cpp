// Nothing of a runtime outlives its lease, whatever it does to hide, and its guard's death.
#include <signal.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "system/children.hpp"
#include "system/process_table.hpp"
#include "system/start_program.hpp"
#include "tests/descriptors.hpp"
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

// Waits for a line of the log, which goes nowhere else while this lives.
class line_watch {
 public:
  explicit line_watch(std::string_view words) : sink_(std::make_shared<sink>(words)) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("watched", sink_));
  }
  ~line_watch() { spdlog::set_default_logger(before_); }
  line_watch(const line_watch&) = delete;
  line_watch& operator=(const line_watch&) = delete;

  bool wait() { return sink_->came.get_future().wait_for(patience) == std::future_status::ready; }
  int count() { return sink_->count; }

 private:
  struct sink : spdlog::sinks::base_sink<std::mutex> {
    explicit sink(std::string_view wanted) : words(wanted) {}
    void sink_it_(const spdlog::details::log_msg& line) override {
      const std::string_view text(line.payload.data(), line.payload.size());
      if (text.find(words) != text.npos && count++ == 0) came.set_value();
    }
    void flush_() override {}

    const std::string_view words;
    std::promise<void> came;
    std::atomic<int> count{0};
  };

  const std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  const std::shared_ptr<sink> sink_;
};

// Runs a script and kills its guard once the script has started as many sleepers. `before` is a
// signal that these get before that; 0: none. `is_blind`: nothing can be opened until the log says
// that this is in the way.
void kill_the_guard_of(const std::string& script, const std::string& time, std::size_t count,
                       int before = 0, bool is_blind = false) {
  line_watch complaint("cannot be seen");
  const auto driver = make_driver(programs);
  config::model_options model;
  model.name = "script";
  model.command = {"sh", "-c", script};
  event_log events;
  const auto handle = driver->start(model, request_of(1), events.callback());
  const auto pid = static_cast<pid_t>(events.wait_for<runtime_spawned>().pid);
  BOOST_REQUIRE(wait_for_sleepers(time, count));
  for (const auto& p : sleepers(time)) kill(p.pid, before);
  const auto guard = parent_of(pid);
  {
    std::optional<test::no_descriptor_left> none;
    if (is_blind) none.emplace();
    kill(guard, SIGKILL);
    if (is_blind) BOOST_TEST(complaint.wait());
    if (is_blind) BOOST_TEST(events.order() == "spawned exited");
  }
  events.wait_for<runtime_released>();
  BOOST_TEST(complaint.count() == (is_blind ? 1 : 0));
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

BOOST_AUTO_TEST_CASE(nor_does_one_that_cannot_be_seen_for_a_while) {
  const auto time = own_time(6);
  kill_the_guard_of("(env -i setsid sleep " + time + " &); exec sleep 700", time, 1, 0, true);
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
