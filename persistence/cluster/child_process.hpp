// Starts and watches one program, under another user if asked. The program never outlives this
// process.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <filesystem>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "system/account.hpp"

namespace signalbox::persistence {

struct child_command {
  std::vector<std::string> argv;       // argv[0] is the path of the program
  std::optional<account> run_as;       // needs root
  std::filesystem::path folder = "/";  // its working folder
  std::filesystem::path output;        // file to append its output to; empty: discarded
  int death_signal = 0;                // signal it gets when this process dies
};

class child_process {
 public:
  // Throws std::system_error when it cannot be started.
  explicit child_process(const child_command& command);
  ~child_process();  // kills the program if it still runs
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number);  // does nothing when the program has ended
  // Return the wait status as soon as the program has ended, or nothing when the wait is over
  // before.
  std::optional<int> wait_for(std::chrono::milliseconds limit);
  std::optional<int> wait_until(std::stop_token given_up);

 private:
  void keep(const child_command& command);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  pid_t pid_ = 0;               // 0: not started yet
  std::exception_ptr failure_;  // set when the start failed
  std::optional<int> status_;
  // The death signal is sent when the *thread* that forked ends, so this thread lives as long as
  // the child.
  std::thread keeper_;
};

}  // namespace signalbox::persistence
