// Explains why a runtime ended: a word for programs and a sentence for people. Likewise what a
// probe of its health found.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtimes/http_probe.hpp"
#include "scheduling/model_lifecycle.hpp"

namespace signalbox::runtimes {

struct exit_facts {
  bool stop_asked = false;
  duration overstayed_grace{};  // the grace of that stop, if it was over when the runtime ended
  bool start_timed_out = false;
  bool was_ready = false;
  duration start_timeout{};
  std::optional<int> wait_status;  // none: unknown, because the guard was killed
  bool kernel_killed = false;      // a process, for want of memory, a moment ago
  std::string last_probe{};        // explain_probe() of the last one; empty: none yet
  std::vector<std::string> log_tail;
};

struct exit_report {
  scheduling::exit_reason reason;
  std::string detail;
  std::string cure{};  // what may help, as runtime_exited has it
};

// Only a runtime that failed by itself has a cure.
exit_report explain_exit(const exit_facts& facts);

// `question` is "GET /health on port 41234", and was asked with this timeout.
std::string explain_probe(const std::string& question, const probe_result& result,
                          duration timeout);

}  // namespace signalbox::runtimes
