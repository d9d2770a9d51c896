// What /proc tells of the processes of this machine.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace signalbox {

struct process {
  pid_t pid = 0;
  pid_t session = 0;
  std::uint64_t start_ticks = 0;  // since boot; with the pid, no two processes share it
  std::string name;               // at most 15 characters
};

// Nothing when it is gone, or dead and only not waited for.
std::optional<process> look_at(pid_t pid);

// From the environment it was started with; empty when it is not there, or not ours to read.
std::string environment_value(pid_t pid, const std::string& name);

using process_filter = std::function<bool(const process&)>;

// Waits until it has ended, at most `limit`.
void wait_for_end(const process& p, std::chrono::milliseconds limit);

// Living ones, without ourselves.
std::vector<process> find_processes(const process_filter& belongs);

// SIGKILL to each that belongs; returns them.
std::vector<process> kill_processes(const process_filter& belongs);

}  // namespace signalbox
