// The protocol between the gateway and signalbox-guard over their socket pair: one fixed-size
// message in each packet (SOCK_SEQPACKET). End of file from the gateway means: kill everything.
#pragma once

#include <cstdint>

namespace signalbox::runtimes {

enum class guard_word : std::int32_t {
  // gateway → guard
  stop = 1,  // value: grace in ms; SIGTERM now, SIGKILL after it; 0: SIGKILL now
  // guard → gateway
  spawned = 2,      // value: pid of the runtime
  exec_failed = 3,  // value: errno
  exited = 4        // value: wait status of the runtime
};

struct guard_message {
  guard_word word;
  std::int32_t value;
};

inline constexpr int guard_control_fd = 3;

}  // namespace signalbox::runtimes
