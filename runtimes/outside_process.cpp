#include "runtimes/outside_process.hpp"

#include <sys/types.h>

#include <cerrno>
#include <limits>
#include <system_error>

#include "system/pidfd.hpp"
#include "system/process_table.hpp"

namespace signalbox::runtimes {

std::optional<scheduling::process_mark> mark_process(std::int64_t pid) {
  if (pid <= 0 || pid > std::numeric_limits<pid_t>::max()) return std::nullopt;
  try {
    const auto found = look_at(static_cast<pid_t>(pid));
    if (!found) return std::nullopt;
    return scheduling::process_mark{pid, found->start_ticks};
  } catch (const std::system_error&) {
    return std::nullopt;
  }
}

// The descriptor is opened first: what is then seen under the pid is its process, or a later one.
bool has_process_ended(const scheduling::process_mark& process) {
  const auto pid = static_cast<pid_t>(process.pid);
  const auto opened = open_pidfd(pid);
  if (opened.get() < 0) return errno == ESRCH;
  if (wait_for_end(opened, std::chrono::milliseconds(0))) return true;
  try {
    const auto found = look_at(pid);
    return found && found->start_ticks != process.start_ticks;
  } catch (const std::system_error&) {
    return false;
  }
}

}  // namespace signalbox::runtimes
