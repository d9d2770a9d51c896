// Programs that the benchmark starts. None outlives it, and a signal to the benchmark ends every
// wait for them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace signalbox::bench {

// Thrown when SIGINT or SIGTERM arrives.
class interrupted : public std::runtime_error {
 public:
  interrupted() : std::runtime_error("interrupted") {}
};

// Blocks SIGINT, SIGTERM and SIGCHLD; from then on only the waits below take them. Call it once,
// before the first child.
void take_signals();

// Waits, or throws interrupted when a signal arrives.
void pause_for(std::chrono::milliseconds time);

class child_process {
 public:
  // Starts argv[0] (searched in PATH) in a session of its own, with a small environment
  // and both outputs going to the log file. Throws std::runtime_error.
  child_process(std::vector<std::string> argv, std::filesystem::path log);
  ~child_process();  // calls stop()
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  // Waits for the end of the program. Returns its exit status (128 + signal when killed), or
  // nothing if it still runs. Throws interrupted.
  std::optional<int> wait(std::chrono::milliseconds time);

  // Sends SIGTERM, and after the grace SIGKILL to the whole group.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds(20)) noexcept;

  pid_t pid() const { return pid_; }
  bool running() { return !poll().has_value(); }
  std::string output() const;  // the log so far, at most its last 16 KiB

 private:
  std::optional<int> poll();

  pid_t pid_ = -1;
  std::optional<int> status_;
  std::filesystem::path log_;
};

double cpu_seconds(pid_t pid);  // user and system time of all its threads
std::uint64_t resident_bytes(pid_t pid);

// Returns a TCP port on 127.0.0.1 that was free a moment ago.
std::uint16_t free_port();

}  // namespace signalbox::bench
