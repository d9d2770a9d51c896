#include "system/start_program.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <system_error>
#include <thread>

#include "system/pidfd.hpp"
#include "system/process_table.hpp"

using namespace signalbox;

namespace {

program_start shell(const std::string& script) {
  program_start start;
  start.argv = {"sh", "-c", script};
  start.environment = {"PATH=/usr/bin:/bin", "GIVEN=a b"};
  return start;
}

int wait_status(pid_t pid) {
  int status = -1;
  BOOST_REQUIRE(waitpid(pid, &status, 0) == pid);
  return status;
}

// Both outputs of the program, whole.
std::string output_of(program_start start) {
  std::array<int, 2> ends;
  BOOST_REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
  const unique_fd output(ends[0]);
  unique_fd input(ends[1]);
  start.output = input.get();
  const pid_t pid = start_program(start);
  input = unique_fd();
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t size; (size = read(output.get(), buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  BOOST_TEST(wait_status(pid) == 0);
  return text;
}

int error_of(const program_start& start) try {
  start_program(start);
  return 0;
} catch (const std::system_error& e) {
  return e.code().value();
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_program_gets_what_it_is_given_and_no_more) {
  const unique_fd ours(open("/dev/null", O_RDONLY));  // not close-on-exec
  signal(SIGPIPE, SIG_IGN);
  auto start = shell(
      "echo $GIVEN; echo wrong >&2; pwd; umask; ls /proc/self/fd | tr '\\n' ' ';"
      "grep SigIgn /proc/self/status");
  start.folder = "/";
  start.file_mask = 077;
  BOOST_TEST(output_of(start) == "a b\nwrong\n/\n0077\n0 1 2 3 SigIgn:\t0000000000000000\n");
  start.control = ours.get();
  BOOST_TEST(output_of(start).find("0 1 2 3 4 ") != std::string::npos);
  signal(SIGPIPE, SIG_DFL);
}

BOOST_AUTO_TEST_CASE(a_program_that_cannot_run_is_an_error) {
  auto start = shell("true");
  start.folder = "/no/such/folder";
  BOOST_TEST(error_of(start) == ENOENT);
  start = shell("true");
  start.argv = {"/no/such/program"};
  BOOST_TEST(error_of(start) == ENOENT);
  start.argv = {"/etc/passwd"};
  BOOST_TEST(error_of(start) == EACCES);
  BOOST_TEST(waitpid(-1, nullptr, WNOHANG) == -1);  // no zombie is left
}

BOOST_AUTO_TEST_CASE(another_user_if_asked) {
  const auto nobody = find_account("nobody");
  if (geteuid() != 0 || !nobody) return;
  auto start = shell("id -u; id -G");
  start.run_as = nobody;
  BOOST_TEST(output_of(start) ==
             std::to_string(nobody->uid) + "\n" + std::to_string(nobody->gid) + "\n");
  start.argv = {"/no/such/program"};
  BOOST_TEST(error_of(start) == ENOENT);
}

BOOST_AUTO_TEST_CASE(the_death_signal_comes_when_the_starting_thread_ends) {
  auto start = shell("sleep 100");
  start.death_signal = SIGTERM;
  pid_t pid = -1;
  std::thread([&] { pid = start_program(start); }).join();
  BOOST_TEST(WTERMSIG(wait_status(pid)) == SIGTERM);
}

BOOST_AUTO_TEST_CASE(a_pidfd_tells_the_end) {
  const pid_t pid = start_program(shell("read line"));  // of /dev/null: ends at once
  BOOST_TEST(wait_for_end(open_pidfd(pid), std::chrono::seconds(30)));
  BOOST_TEST(!look_at(pid));  // a zombie is none
  wait_status(pid);
  const pid_t stays = start_program(shell("exec sleep 100"));
  const auto found = look_at(stays);
  BOOST_REQUIRE(found.has_value());
  BOOST_TEST(found->parent == getpid());
  BOOST_TEST(found->session == stays);
  const auto pidfd = open_process(*found);
  BOOST_TEST(!wait_for_end(pidfd, std::chrono::milliseconds(1)));
  send_signal(pidfd, SIGKILL);
  BOOST_TEST(WTERMSIG(wait_status(stays)) == SIGKILL);
  BOOST_TEST(open_process(*found).get() < 0);
}
