// signalbox-guard PROGRAM ARG...: stands between the gateway and one runtime, so that no process of
// the runtime outlives either of them. It is the subreaper of everything that the runtime starts:
// a process that loses its parent becomes a child of the guard, whatever session or group it is in.
// The guard kills direct children only: their pids cannot be reused before it has waited for them.
//
//   gateway gone, or stop with no grace     SIGKILL to all, level by level, until none is left
//   stop with a grace                       SIGTERM to the runtime's group, the above after it
//   runtime's main process ended            its status is reported, the above at once
//   guard killed                            the kernel kills the main process (PR_SET_PDEATHSIG);
//                                           the gateway adopts the rest (system/children.hpp)
// When the guard has ended by itself, the whole process tree is gone.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <system_error>

#include "runtimes/guard_protocol.hpp"
#include "system/process_table.hpp"

namespace {

using namespace signalbox;
using namespace signalbox::runtimes;
using guard_clock = std::chrono::steady_clock;

constexpr int rescan_ms = 20;  // a list of children may miss one that has just been reparented

void tell(guard_word word, std::int32_t value) {
  const guard_message message{word, value};
  (void)!send(guard_control_fd, &message, sizeof message, MSG_NOSIGNAL);
}

class guard {
 public:
  explicit guard(char** argv) : argv_(argv) {}

  int run() {
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigset_t watched;
    sigemptyset(&watched);
    for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT}) {
      sigaddset(&watched, number);
    }
    sigprocmask(SIG_BLOCK, &watched, nullptr);
    signals_ = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    fcntl(guard_control_fd, F_SETFD, FD_CLOEXEC);
    if (signals_ < 0) tell(guard_word::exec_failed, errno);
    if (signals_ < 0 || !spawn()) return 1;
    while (reap()) wait_for_news();
    return 0;
  }

 private:
  bool spawn();
  [[noreturn]] void become_runtime(int error_fd, pid_t parent);
  bool reap();
  void wait_for_news();
  void read_control();
  void read_signals();

  char** argv_;
  int signals_ = -1;
  pid_t main_ = -1;
  bool killing_ = false;
  std::optional<guard_clock::time_point> kill_at_;
};

bool guard::spawn() {
  int error_pipe[2];
  if (pipe2(error_pipe, O_CLOEXEC) != 0) {
    tell(guard_word::exec_failed, errno);
    return false;
  }
  const pid_t self = getpid();
  main_ = fork();
  if (main_ == 0) become_runtime(error_pipe[1], self);
  int error = main_ < 0 ? errno : 0;
  close(error_pipe[1]);
  if (main_ > 0 && read(error_pipe[0], &error, sizeof error) == sizeof error) {
    waitpid(main_, nullptr, 0);
  }
  close(error_pipe[0]);
  if (error != 0) {
    tell(guard_word::exec_failed, error);
    return false;
  }
  tell(guard_word::spawned, main_);
  return true;
}

void guard::become_runtime(int error_fd, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // the guard died before the line above
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv(argv_[0], argv_);
  const int error = errno;
  (void)!write(error_fd, &error, sizeof error);
  _exit(127);
}

// Reaps children that have ended. Returns false when none is left.
bool guard::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) return false;
    if (pid == 0) break;
    if (pid == main_) {
      killing_ = true;
      tell(guard_word::exited, status);
    }
  }
  if (kill_at_ && guard_clock::now() >= *kill_at_) killing_ = true;
  if (killing_) {
    try {
      for (const pid_t child : list_children()) kill(child, SIGKILL);
    } catch (const std::system_error&) {
      // No list can be read at the moment. There will be another look.
    }
  }
  return true;
}

void guard::wait_for_news() {
  int timeout_ms = killing_ ? rescan_ms : -1;
  if (!killing_ && kill_at_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*kill_at_ - guard_clock::now());
    timeout_ms = static_cast<int>(std::max<std::int64_t>(0, left.count()));
  }
  pollfd watched[2] = {{signals_, POLLIN, 0}, {guard_control_fd, POLLIN, 0}};
  // While everything is being killed, messages of the gateway no longer matter.
  if (poll(watched, killing_ ? 1 : 2, timeout_ms) <= 0) return;
  if (watched[0].revents != 0) read_signals();
  if (!killing_ && watched[1].revents != 0) read_control();
}

void guard::read_signals() {
  signalfd_siginfo info{};
  while (read(signals_, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo != SIGCHLD) killing_ = true;  // the tree ends together with the guard
  }
}

void guard::read_control() {
  guard_message message{};
  const auto size = recv(guard_control_fd, &message, sizeof message, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size != sizeof message || message.word != guard_word::stop || message.value <= 0) {
    killing_ = true;  // end of file: the gateway is gone
    return;
  }
  const auto when = guard_clock::now() + std::chrono::milliseconds(message.value);
  if (!kill_at_) kill(-main_, SIGTERM);
  if (!kill_at_ || when < *kill_at_) kill_at_ = when;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || fcntl(guard_control_fd, F_GETFD) < 0) {
    std::fputs("signalbox-guard is started by signalbox; it is of no use alone\n", stderr);
    return 2;
  }
  return guard(argv + 1).run();
}
