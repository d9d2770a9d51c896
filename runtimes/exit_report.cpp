#include "runtimes/exit_report.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>

#include "runtimes/known_causes.hpp"

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

// A load that fails says what was tried.
std::string with_probe(std::string text, const exit_facts& facts) {
  return facts.last_probe.empty() ? text : text + ": " + facts.last_probe;
}

// 1. We asked: whatever the status is, a program that dies by SIGABRT on SIGTERM included.
// 2. We killed it because it was not ready in time.
// 3. A fault of memory access.
// 4. Killed, and not by us: by the kernel for want of memory if that says so, else by somebody.
// 5. Out of memory, as its log says.
// 6. It never was ready: because it does not know such models, as its log says, or for another
// reason. 7. It was, and ended without being asked.
exit_report reason_of(const exit_facts& facts) {
  const auto how = describe(facts.wait_status);
  const int number = facts.wait_status ? signal_of(*facts.wait_status) : 0;
  if (facts.stop_asked) {
    const bool was_killed = number == SIGKILL && facts.overstayed_grace > duration::zero();
    if (!was_killed) return {exit_reason::asked, how};
    const auto seconds = to_seconds(facts.overstayed_grace);
    return {exit_reason::asked,
            fmt::format("killed, as it did not end within {:g} s of SIGTERM", seconds)};
  }
  if (facts.start_timed_out) {
    const auto seconds = to_seconds(facts.start_timeout);
    return {exit_reason::start_timeout,
            with_probe(fmt::format("not ready in {:g} s", seconds), facts)};
  }
  if (number == SIGSEGV || number == SIGBUS) return {exit_reason::segfault, how};
  if (number == SIGKILL && facts.kernel_killed) {
    return {exit_reason::oom, how + ", by the kernel for want of memory"};
  }
  if (number == SIGKILL) return {exit_reason::killed, how + ", which the gateway did not send"};
  if (tells_out_of_memory(facts.log_tail)) {
    return {exit_reason::oom, how + "; its log tells of too little memory"};
  }
  if (!facts.was_ready && tells_incompatible(facts.log_tail)) {
    return {exit_reason::model_incompatible, how + " before it was ready"};
  }
  if (!facts.was_ready) {
    return {exit_reason::start_failed, with_probe(how + " before it was ready", facts)};
  }
  return {exit_reason::crashed, how};
}

}  // namespace

exit_report explain_exit(const exit_facts& facts) {
  auto report = reason_of(facts);
  const bool is_own_failure = report.reason != exit_reason::asked &&
                              report.reason != exit_reason::killed &&
                              report.reason != exit_reason::segfault;
  // What a runtime warned of while it loaded well is not what ended it later.
  const bool is_of_log = !facts.was_ready || report.reason == exit_reason::oom;
  if (is_own_failure && is_of_log) report.cure = likely_cure(facts.log_tail);
  return report;
}

std::string explain_probe(const std::string& question, const probe_result& result,
                          duration timeout) {
  switch (result.outcome) {
    case probe_outcome::ok:
      return question + " was answered";
    case probe_outcome::other_status:
      return fmt::format("{} was answered with {}", question, result.why);
    case probe_outcome::timed_out:
      return fmt::format("{} was not answered in {:g} s", question, to_seconds(timeout));
    case probe_outcome::not_tried:
      return fmt::format("{} could not be asked ({})", question, result.why);
    case probe_outcome::failed:
      break;
  }
  return fmt::format("nothing answered {} ({})", question, result.why);
}

}  // namespace signalbox::runtimes
