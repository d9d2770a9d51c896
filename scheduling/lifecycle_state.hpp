// The states of a backend, and the reasons why its runtimes end.
#pragma once

#include <cstdint>
#include <string_view>

namespace signalbox::scheduling {

// The state of a backend.
enum class lifecycle_state : std::uint8_t {
  stopped,
  awaiting_lease,
  starting,
  ready,
  draining,
  stopping,
  failed
};
std::string_view to_string(lifecycle_state value);

// The reason why a runtime ended. `asked` means that we stopped it, whatever its exit status says.
enum class exit_reason : std::uint8_t {
  asked,
  crashed,
  oom,     // the kernel killed it for want of memory, or its log tells of that
  killed,  // by somebody else's SIGKILL
  hung,    // we killed it because it gave no sign of life
  segfault,
  start_failed,
  start_timeout,
  model_incompatible  // the runtime said that it does not know this kind of model
};
std::string_view to_string(exit_reason value);

}  // namespace signalbox::scheduling
