#include "scheduling/lifecycle_state.hpp"

#include <array>

namespace signalbox::scheduling {

std::string_view to_string(lifecycle_state value) {
  constexpr std::array<std::string_view, 7> names{"stopped",  "awaiting_lease", "starting", "ready",
                                                  "draining", "stopping",       "failed"};
  return names[static_cast<std::size_t>(value)];
}

std::string_view to_string(exit_reason value) {
  constexpr std::array<std::string_view, 9> names{
      "asked",         "crashed",           "oom", "killed", "hung", "segfault", "start_failed",
      "start_timeout", "model_incompatible"};
  return names[static_cast<std::size_t>(value)];
}

}  // namespace signalbox::scheduling
