// Reads /proc: finds, identifies and kills processes of this machine. What cannot be seen is not
// gone: all throw std::system_error when /proc cannot be read, as when no descriptor is left.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "system/unique_fd.hpp"

namespace signalbox {

struct process {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t session = 0;
  std::uint64_t cpu_ticks = 0;    // user and system time of all its threads
  std::uint64_t start_ticks = 0;  // since boot; with the pid, no two processes share it
  std::string name;               // at most 15 characters
};

// Returns nothing when the process is gone, is a zombie, or is hidden from us.
std::optional<process> look_at(pid_t pid);

// Returns a variable of the environment that the process was started with; empty when it has none,
// or when we may not read it.
std::string environment_value(pid_t pid, const std::string& name);

using process_filter = std::function<bool(const process&)>;

// Returns all living processes, except ourselves, for which `belongs` is true.
std::vector<process> find_processes(const process_filter& belongs);

// Returns our own children, those that have ended and wait to be reaped included. One that has just
// become our child may be missing.
std::vector<pid_t> list_children();

// Opens exactly this process; empty when it has ended.
unique_fd open_process(const process& p);

// Sends SIGKILL to each process that belongs, and returns them.
std::vector<process> kill_processes(const process_filter& belongs);

}  // namespace signalbox
