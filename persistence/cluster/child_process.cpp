#include "persistence/cluster/child_process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace signalbox::persistence {

namespace {

account account_of(const passwd& entry) {
  account found{entry.pw_name, entry.pw_uid, entry.pw_gid, std::vector<gid_t>(64)};
  int count = static_cast<int>(found.groups.size());
  if (::getgrouplist(entry.pw_name, entry.pw_gid, found.groups.data(), &count) < 0) count = 0;
  found.groups.resize(static_cast<std::size_t>(count));
  return found;
}

// Everything the child needs between fork and exec, where nothing may be allocated.
struct launch {
  std::vector<char*> argv;
  std::array<char*, 4> envp;
  const account* run_as;
  const char* folder;
  int input;
  int output;
  int death_signal;
  pid_t parent;
};

// Raw system calls where the C library would first speak to the other threads of the parent.
[[noreturn]] void become(const launch& to) {
  ::setsid();  // out of reach of the terminal's Ctrl-C
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  bool is_ready = true;
  if (to.run_as) {
    is_ready = ::syscall(SYS_setgroups, to.run_as->groups.size(), to.run_as->groups.data()) == 0 &&
               ::syscall(SYS_setgid, to.run_as->gid) == 0 &&
               ::syscall(SYS_setuid, to.run_as->uid) == 0;
  }
  // After setuid, which clears it; and the parent may have died before it was set.
  ::prctl(PR_SET_PDEATHSIG, to.death_signal);
  is_ready = is_ready && ::getppid() == to.parent && ::chdir(to.folder) == 0 &&
             ::dup2(to.input, 0) == 0 && ::dup2(to.output, 1) == 1 && ::dup2(to.output, 2) == 2 &&
             ::syscall(SYS_close_range, 3U, ~0U, 0U) == 0;
  ::umask(077);
  if (is_ready) ::execve(to.argv[0], to.argv.data(), const_cast<char**>(to.envp.data()));
  ::_exit(127);
}

}  // namespace

std::optional<account> find_account(const std::string& name) {
  std::array<char, 16384> buffer;
  passwd entry;
  passwd* found = nullptr;
  ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  return found ? std::optional(account_of(*found)) : std::nullopt;
}

std::optional<account> find_account(uid_t uid) {
  std::array<char, 16384> buffer;
  passwd entry;
  passwd* found = nullptr;
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found ? std::optional(account_of(*found)) : std::nullopt;
}

child_process::child_process(const child_command& command) {
  keeper_ = std::thread([this, command] { keep(command); });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return pid_ > 0 || error_ != 0; });
  if (error_ != 0) {
    lock.unlock();
    keeper_.join();
    throw std::system_error(error_, std::generic_category(), "cannot start " + command.argv[0]);
  }
}

child_process::~child_process() {
  signal(SIGKILL);
  keeper_.join();
}

void child_process::signal(int number) {
  const std::lock_guard lock(mutex_);  // it is not reaped meanwhile, so the pid is still its own
  if (!status_) ::kill(pid_, number);
}

std::optional<int> child_process::wait_for(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [this] { return status_.has_value(); });
  return status_;
}

std::optional<int> child_process::wait_until(std::stop_token given_up) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, std::move(given_up), [this] { return status_.has_value(); });
  return status_;
}

void child_process::keep(const child_command& command) {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);

  std::string path = "PATH=/usr/bin:/bin", locale = "LC_ALL=C.UTF-8", zone = "TZ=UTC";
  std::vector<std::string> arguments = command.argv;
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int output = ::open(command.output.empty() ? "/dev/null" : command.output.c_str(),
                            O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  launch to{{},
            {path.data(), locale.data(), zone.data(), nullptr},
            command.run_as ? &*command.run_as : nullptr,
            command.folder.c_str(),
            input,
            output,
            command.death_signal,
            ::getpid()};
  for (std::string& argument : arguments) to.argv.push_back(argument.data());
  to.argv.push_back(nullptr);

  const pid_t pid = input < 0 || output < 0 ? -1 : ::fork();
  if (pid == 0) become(to);
  const int error = pid < 0 ? std::max(errno, 1) : 0;
  if (input >= 0) ::close(input);
  if (output >= 0) ::close(output);
  {
    const std::lock_guard lock(mutex_);
    pid_ = pid;
    error_ = error;
    changed_.notify_all();
  }
  if (pid < 0) return;

  siginfo_t ended;
  while (::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  const std::lock_guard lock(mutex_);
  int status = 0;
  ::waitpid(pid, &status, 0);
  status_ = status;
  changed_.notify_all();
}

}  // namespace signalbox::persistence
