// Runtimes whose gateway was killed are ended.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>

#include "tests/runtimes/support.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using namespace signalbox::runtimes::testing;

namespace {

// A stand-in for the gateway, with one runtime.
class victim {
 public:
  explicit victim(const std::string& data_dir) {
    std::array<int, 2> in, out;
    BOOST_REQUIRE(pipe2(in.data(), O_CLOEXEC) == 0);
    BOOST_REQUIRE(pipe2(out.data(), O_CLOEXEC) == 0);
    const unique_fd in_read(in[0]), out_read(out[0]);
    input_ = unique_fd(in[1]);
    unique_fd out_write(out[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in_read.get(), 0);
    posix_spawn_file_actions_adddup2(&actions, out_write.get(), 1);
    std::array<std::string, 3> words{programs + "/runtimes_victim", programs, data_dir};
    std::array<char*, 4> arguments{words[0].data(), words[1].data(), words[2].data(), nullptr};
    const int error =
        posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    BOOST_REQUIRE(error == 0);
    out_write = unique_fd();
    char ready[5];
    BOOST_REQUIRE(read(out_read.get(), ready, sizeof ready) == 5);
  }
  ~victim() { kill(); }

  // In the marker of its runs, and of no other's.
  std::string mark() const { return "-" + std::to_string(pid_) + "."; }

  std::vector<watched_process> tree() const {
    std::vector<watched_process> result;
    for (const pid_t pid : marked_processes(mark())) result.emplace_back(pid);
    return result;
  }

  void kill() {
    if (pid_ < 0 || std::exchange(killed_, true)) return;
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  // Its guard has no time to notice. Of the tree, what is not bound to the guard's life is left:
  // the runtime's own child.
  void kill_with_guard() {
    const auto all = tree();
    const auto guard = std::find_if(all.begin(), all.end(),
                                    [&](const auto& p) { return parent_of(p.pid()) == pid_; });
    BOOST_REQUIRE(guard != all.end());
    const auto runtime = std::find_if(
        all.begin(), all.end(), [&](const auto& p) { return parent_of(p.pid()) == guard->pid(); });
    BOOST_REQUIRE(runtime != all.end());
    ::kill(guard->pid(), SIGSTOP);
    kill();
    ::kill(guard->pid(), SIGKILL);
    BOOST_REQUIRE(guard->wait_until_gone());
    BOOST_REQUIRE(runtime->wait_until_gone());
  }

 private:
  unique_fd input_;
  pid_t pid_ = -1;
  bool killed_ = false;
};

}  // namespace

BOOST_AUTO_TEST_CASE(when_the_gateway_is_killed_nothing_is_left) {
  victim gateway(own_folder());
  const auto tree = gateway.tree();
  BOOST_TEST(tree.size() == 3u);  // guard, runtime, child
  gateway.kill();
  for (const auto& process : tree) BOOST_TEST(process.wait_until_gone());
  BOOST_TEST(marked_processes(gateway.mark()).empty());
}

BOOST_AUTO_TEST_CASE(what_a_killed_gateway_and_its_guard_left_is_ended_by_the_next_one) {
  victim gateway(own_folder());
  gateway.kill_with_guard();
  BOOST_TEST(!marked_processes(gateway.mark()).empty());
  const auto next = make_driver(programs);
  BOOST_TEST(marked_processes(gateway.mark()).empty());
}

BOOST_AUTO_TEST_CASE(what_is_not_left_over_in_this_folder_lives_on) {
  const auto other_folder = own_folder() + "/other";
  BOOST_REQUIRE(mkdir(other_folder.c_str(), 0700) == 0);
  const auto ours = make_driver(programs);
  event_log events;
  const auto handle = ours->start(sim_model(programs), request_of(1), events.callback());
  const auto port = events.wait_for<runtime_ready>().port;
  victim neighbour(own_folder()), dead_stranger(other_folder);
  dead_stranger.kill_with_guard();
  const auto left = marked_processes(dead_stranger.mark());

  const auto next = make_driver(programs);
  BOOST_TEST(neighbour.tree().size() == 3u);
  BOOST_TEST(marked_processes(dead_stranger.mark()) == left, boost::test_tools::per_element());
  BOOST_TEST(!left.empty());
  BOOST_TEST(send_once(port, {.target = "/health"}).status() == 200u);
  const auto of_the_other = make_driver(programs, other_folder);
  BOOST_TEST(marked_processes(dead_stranger.mark()).empty());
}

BOOST_AUTO_TEST_CASE(a_data_folder_that_does_not_exist_is_refused) {
  BOOST_CHECK_THROW(make_driver(programs, own_folder() + "/none"), std::system_error);
}
