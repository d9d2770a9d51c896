#include "commands/leased_command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "system/children.hpp"
#include "system/pidfd.hpp"

namespace signalbox::commands {
namespace {

constexpr int gap_between_looks_ms = 5;
constexpr int not_executable = 126, not_found = 127;  // as in a shell

void reset_signals() {
  sigset_t none;
  sigemptyset(&none);
  std::signal(SIGPIPE, SIG_DFL);
  std::signal(SIGTTOU, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Reads until the end. Without a variable nobody wants the command any more.
std::string read_order(int from) {
  std::string text;
  std::array<char, 4096> part;
  for (;;) {
    const auto size = read(from, part.data(), part.size());
    if (size > 0) {
      text.append(part.data(), static_cast<std::size_t>(size));
    } else if (size == 0 || errno != EINTR) {
      return text;
    }
  }
}

void set_variables(const std::string& order) {
  for (std::size_t at = 0; at < order.size();) {
    const auto end = order.find('\0', at);
    const auto sign = order.find('=', at);
    setenv(order.substr(at, sign - at).c_str(), order.substr(sign + 1, end - sign - 1).c_str(), 1);
    at = end + 1;
  }
}

// A copy of this process, which has one thread: it may allocate.
[[noreturn]] void become_command(const std::vector<std::string>& argv, int order_fd, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  reset_signals();
  const auto order = read_order(order_fd);
  if (order.empty()) _exit(0);
  set_variables(order);
  std::vector<char*> arguments;
  for (const auto& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  const int error = errno;
  std::fprintf(stderr, "signalbox lease: %s: %s\n", arguments[0], std::strerror(error));
  _exit(error == ENOENT ? not_found : not_executable);
}

}  // namespace

leased_command::leased_command(const std::vector<std::string>& argv) {
  adopt_orphans();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  const unique_fd from(ends[0]);
  order_ = unique_fd(ends[1]);
  const auto parent = getpid();
  pid_ = start_child([&] {
    const auto pid = fork();
    if (pid == 0) {
      close(order_.get());  // else it would never see the end
      become_command(argv, from.get(), parent);
    }
    return pid;
  });
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  setpgid(pid_, pid_);  // both do, so that it is done for both
  pidfd_ = open_pidfd(pid_);
}

leased_command::~leased_command() {
  order_ = unique_fd();
  if (!status_) signal(SIGKILL);
  while (!status()) wait_for_end(pidfd_, std::chrono::seconds(1));
  if (has_terminal_) tcsetpgrp(STDIN_FILENO, getpgrp());
}

void leased_command::execute(const std::vector<std::string>& variables) {
  if (tcgetpgrp(STDIN_FILENO) == getpgrp()) {
    std::signal(SIGTTOU, SIG_IGN);  // the terminal is the command's until it ends
    has_terminal_ = tcsetpgrp(STDIN_FILENO, pid_) == 0;
  }
  std::string order;
  for (const auto& variable : variables) order.append(variable).push_back('\0');
  const auto written = write(order_.get(), order.data(), order.size());
  if (written != static_cast<ssize_t>(order.size())) {
    throw std::system_error(errno, std::generic_category(), "the command cannot be started");
  }
  order_ = unique_fd();
}

void leased_command::signal(int number) const {
  if (!status_) kill(-pid_, number);
}

std::optional<int> leased_command::status() {
  if (status_ || !has_ended(pid_)) return status_;
  kill(-pid_, SIGKILL);  // while its zombie keeps the group's number
  int how = 0;
  wait_for_child(pid_, &how);
  status_ = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
  while (end_adopted() > 0) poll(nullptr, 0, gap_between_looks_ms);
  return status_;
}

}  // namespace signalbox::commands
