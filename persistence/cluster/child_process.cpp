#include "persistence/cluster/child_process.hpp"

#include <fcntl.h>
#include <signal.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "system/children.hpp"
#include "system/start_program.hpp"
#include "system/unique_fd.hpp"

namespace signalbox::persistence {

namespace {

unique_fd open_output(const std::filesystem::path& path) {
  if (path.empty()) return {};
  unique_fd output(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
  if (output.get() < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot write " + path.string());
  }
  return output;
}

pid_t start(const child_command& command) {
  const unique_fd output = open_output(command.output);
  return start_program({.argv = command.argv,
                        .environment = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"},
                        .folder = command.folder,
                        .output = output.get(),
                        .run_as = command.run_as,
                        .file_mask = 077,
                        .death_signal = command.death_signal});
}

}  // namespace

child_process::child_process(const child_command& command) {
  keeper_ = std::thread([this, command] { keep(command); });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return pid_ > 0 || failure_; });
  if (failure_) {
    lock.unlock();
    keeper_.join();
    std::rethrow_exception(failure_);
  }
}

child_process::~child_process() {
  signal(SIGKILL);
  keeper_.join();
}

void child_process::signal(int number) {
  const std::lock_guard lock(mutex_);  // held, the child is not reaped: the pid is still its own
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

  pid_t pid = 0;
  std::exception_ptr failure;
  try {
    pid = start(command);
  } catch (...) {
    failure = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    pid_ = pid;
    failure_ = failure;
    changed_.notify_all();
  }
  if (failure) return;

  wait_for_exit(pid);
  const std::lock_guard lock(mutex_);
  int status = 0;
  wait_for_child(pid, &status);
  status_ = status;
  changed_.notify_all();
}

}  // namespace signalbox::persistence
