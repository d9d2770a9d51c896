#include "system/children.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <mutex>
#include <set>
#include <system_error>

#include "system/process_table.hpp"

namespace signalbox {
namespace {

// It is locked while a child is made, so that none is seen that is not noted yet.
struct started_children {
  std::mutex mutex;
  std::set<pid_t> pids;
};

started_children& started() {
  static started_children all;
  return all;
}

// `kills`: those that live, too.
std::size_t go_through_adopted(bool kills) {
  auto& own = started();
  const std::lock_guard lock(own.mutex);
  std::size_t found = 0;
  for (const pid_t pid : list_children()) {
    if (own.pids.contains(pid)) continue;
    ++found;
    // Nobody else waits for it, so that its pid is still its own.
    if (waitpid(pid, nullptr, WNOHANG) == 0 && kills) kill(pid, SIGKILL);
  }
  return found;
}

}  // namespace

void adopt_orphans() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  // What was our child before, such as what the shell started that became us, is nobody's orphan.
  auto& own = started();
  const std::lock_guard lock(own.mutex);
  for (const pid_t pid : list_children()) own.pids.insert(pid);
}

pid_t start_child(const std::function<pid_t()>& branch) {
  auto& own = started();
  const std::lock_guard lock(own.mutex);
  const pid_t pid = branch();
  if (pid > 0) own.pids.insert(pid);
  return pid;
}

bool wait_for_exit(pid_t pid) {
  siginfo_t ended{};
  int result = 0;
  do {
    result = waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT);
  } while (result < 0 && errno == EINTR);
  return result == 0 && ended.si_code == CLD_EXITED;
}

bool has_ended(pid_t pid) {
  siginfo_t ended{};
  const int result = waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT | WNOHANG);
  return result < 0 ? errno != EINTR : ended.si_pid == pid;
}

// It is reaped and forgotten under the lock: in between, the next child might get the same pid, and
// would be forgotten instead.
pid_t wait_for_child(pid_t pid, int* status) {
  wait_for_exit(pid);
  auto& own = started();
  const std::lock_guard lock(own.mutex);
  const pid_t ended = waitpid(pid, status, 0);
  own.pids.erase(pid);
  return ended;
}

void reap_adopted() {
  try {
    go_through_adopted(false);
  } catch (const std::system_error&) {
    // They are still there the next time.
  }
}

std::size_t end_adopted() {
  return go_through_adopted(true);
}

}  // namespace signalbox
