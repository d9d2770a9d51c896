#include "system/pidfd.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace signalbox {

unique_fd open_pidfd(pid_t pid) {
  return unique_fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0U)));
}

void send_signal(const unique_fd& pidfd, int number) {
  if (pidfd.get() >= 0) syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0U);
}

bool wait_for_end(const unique_fd& pidfd, std::chrono::milliseconds max_wait) {
  using clock = std::chrono::steady_clock;
  if (pidfd.get() < 0) return true;
  const auto deadline = clock::now() + max_wait;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now());
    pollfd watched{pidfd.get(), POLLIN, 0};
    const int ready = poll(&watched, 1, static_cast<int>(std::max(left.count(), 0L)));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

}  // namespace signalbox
