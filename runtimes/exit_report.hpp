// Explains why a runtime ended: a word for programs and a sentence for people.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduling/model_lifecycle.hpp"

namespace signalbox::runtimes {

struct exit_facts {
  bool stop_asked = false;
  bool start_timed_out = false;
  bool was_ready = false;
  duration start_timeout{};
  std::optional<int> wait_status;  // none: unknown, because the guard was killed
  std::vector<std::string> log_tail;
};

struct exit_report {
  scheduling::exit_reason reason;
  std::string detail;
};

exit_report explain_exit(const exit_facts& facts);

}  // namespace signalbox::runtimes
