// Why a runtime ended, in one word for the machine and one sentence for a person.
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
  std::optional<int> wait_status;  // none: nobody saw it end, because the guard was killed
  std::vector<std::string> log_tail;
};

struct exit_report {
  scheduling::exit_reason reason;
  std::string detail;
};

exit_report explain_exit(const exit_facts& facts);

}  // namespace signalbox::runtimes
