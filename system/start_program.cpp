#include "system/start_program.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "system/children.hpp"
#include "system/descriptor_limit.hpp"
#include "system/unique_fd.hpp"

namespace signalbox {
namespace {

constexpr int error_fd = control_fd + 1;  // in the child, until the program is executed
constexpr int first_lifted_fd = 10;

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

// Returns a copy above the child's own descriptors, so that no dup2 overwrites the source of
// another.
unique_fd lift(int fd) {
  unique_fd copy(fcntl(fd, F_DUPFD_CLOEXEC, first_lifted_fd));
  if (copy.get() < 0) fail(errno, "fcntl");
  return copy;
}

unique_fd open_null(int flags) {
  const unique_fd file(open("/dev/null", flags | O_CLOEXEC));
  if (file.get() < 0) fail(errno, "/dev/null");
  return lift(file.get());
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const auto& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// Everything that the child needs before it executes the program: it may not allocate.
struct child_plan {
  const program_start& start;
  std::vector<char*> argv, envp;
  unique_fd input, output, control, errors;
  pid_t parent;
};

void close_from(unsigned first) {
  if (syscall(SYS_close_range, first, ~0U, 0U) == 0) return;
  rlimit limit{};  // kernels before 5.9
  getrlimit(RLIMIT_NOFILE, &limit);
  const auto end = std::min<rlim_t>(limit.rlim_cur, 1 << 20);
  for (rlim_t fd = first; fd < end; ++fd) close(static_cast<int>(fd));
}

void reset_signals() {
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) sigaction(number, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Uses raw system calls, because the C library would change all threads, and those are not in the
// child.
bool change_user(const account& to) {
  return syscall(SYS_setgroups, to.groups.size(), to.groups.data()) == 0 &&
         syscall(SYS_setgid, to.gid) == 0 && syscall(SYS_setuid, to.uid) == 0;
}

bool place_descriptors(const child_plan& plan) {
  const bool placed = dup2(plan.input.get(), 0) >= 0 && dup2(plan.output.get(), 1) >= 0 &&
                      dup2(plan.output.get(), 2) >= 0 &&
                      dup3(plan.errors.get(), error_fd, O_CLOEXEC) >= 0;
  if (plan.control.get() < 0) {
    close(control_fd);
  } else if (dup2(plan.control.get(), control_fd) < 0) {
    return false;
  }
  return placed;
}

// Runs in the child. Returns only when the program cannot be executed; errno says why.
void execute(const child_plan& plan) {
  const program_start& start = plan.start;
  setsid();
  reset_signals();
  if (start.run_as && !change_user(*start.run_as)) return;
  if (start.death_signal != 0) {
    // Set after the change of user, which clears it; the parent may have died before.
    prctl(PR_SET_PDEATHSIG, start.death_signal);
    if (getppid() != plan.parent) return;
  }
  if (!start.folder.empty() && chdir(start.folder.c_str()) != 0) return;
  if (!place_descriptors(plan)) return;
  close_from(error_fd + 1);
  restore_descriptor_limit();
  if (start.file_mask) umask(*start.file_mask);
  execvpe(plan.argv[0], plan.argv.data(), plan.envp.data());
}

[[noreturn]] void become(const child_plan& plan) {
  execute(plan);
  const int error = errno;
  // The first is closed once it has been placed.
  for (const int fd : {plan.errors.get(), error_fd}) {
    if (write(fd, &error, sizeof error) == sizeof error) break;
  }
  _exit(127);
}

// vfork copies no page tables, which takes milliseconds in a large process. But it lends the child
// our memory, and a child under another user must not have that: others of that user could trace
// it, and the kernel would no longer let us dump core.
[[gnu::noinline]] pid_t branch(const child_plan& plan) {
  const pid_t pid = plan.start.run_as ? fork() : vfork();
  if (pid == 0) become(plan);
  return pid;
}

}  // namespace

pid_t start_program(const program_start& start) {
  const std::string what = "cannot start " + start.argv[0];
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail(errno, what);
  const unique_fd errors(ends[0]);
  child_plan plan{start,
                  pointers(start.argv),
                  pointers(start.environment),
                  open_null(O_RDONLY),
                  start.output < 0 ? open_null(O_WRONLY) : lift(start.output),
                  start.control < 0 ? unique_fd() : lift(start.control),
                  lift(unique_fd(ends[1]).get()),
                  getpid()};
  // Signals stay blocked until the child has reset them: our handlers must not run in it.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  const pid_t pid = start_child([&plan] { return branch(plan); });
  int error = pid < 0 ? errno : 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  plan.errors = unique_fd();
  ssize_t size = 0;
  do {
    size = pid < 0 ? 0 : read(errors.get(), &error, sizeof error);  // end of file: executed
  } while (size < 0 && errno == EINTR);
  if (size == sizeof error) wait_for_child(pid, nullptr);
  if (error != 0) fail(error, what);
  return pid;
}

}  // namespace signalbox
