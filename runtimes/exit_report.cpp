#include "runtimes/exit_report.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <csignal>
#include <cstring>

namespace signalbox::runtimes {
namespace {

using scheduling::exit_reason;

// Returns the signal that ended the runtime, also when a shell or a container reported it as 128 +
// number.
int signal_of(int status) {
  if (WIFSIGNALED(status)) return WTERMSIG(status);
  return WIFEXITED(status) && WEXITSTATUS(status) > 128 ? WEXITSTATUS(status) - 128 : 0;
}

std::string describe(const std::optional<int>& status) {
  if (!status) return "its guard was killed, and it with it";
  if (WIFSIGNALED(*status)) {
    const char* name = sigabbrev_np(WTERMSIG(*status));
    return fmt::format("signal {} (SIG{})", WTERMSIG(*status), name ? name : "?");
  }
  return fmt::format("exit status {}", WEXITSTATUS(*status));
}

bool tells_out_of_memory(const std::vector<std::string>& lines) {
  return std::any_of(lines.begin(), lines.end(), [](const auto& line) {
    return boost::algorithm::icontains(line, "out of memory");
  });
}

}  // namespace

// 1. We asked: whatever the status is, a program that dies by SIGABRT on SIGTERM included.
// 2. We killed it because it was not ready in time.
// 3. A fault of memory access.
// 4. Out of memory: killed by the kernel (we did not), or the log says so.
// 5. It never was ready. 6. It was, and ended without being asked.
exit_report explain_exit(const exit_facts& facts) {
  const auto how = describe(facts.wait_status);
  if (facts.stop_asked) return {exit_reason::asked, how};
  if (facts.start_timed_out) {
    const auto seconds = to_seconds(facts.start_timeout);
    return {exit_reason::start_timeout, fmt::format("not ready in {:g} s", seconds)};
  }
  const int number = facts.wait_status ? signal_of(*facts.wait_status) : 0;
  if (number == SIGSEGV || number == SIGBUS) return {exit_reason::segfault, how};
  if (number == SIGKILL) return {exit_reason::oom, how + ", most often for want of memory"};
  if (tells_out_of_memory(facts.log_tail)) {
    return {exit_reason::oom, how + "; its log tells of too little memory"};
  }
  if (!facts.was_ready) return {exit_reason::start_failed, how + " before it was ready"};
  return {exit_reason::crashed, how};
}

}  // namespace signalbox::runtimes
