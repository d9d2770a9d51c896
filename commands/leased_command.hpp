// A command that waits for its lease before it is executed, and never outlives us.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "system/unique_fd.hpp"

namespace signalbox::commands {

// Call the constructor before the process has other threads, on the thread that stays to the end:
// the command is killed when that ends (PR_SET_PDEATHSIG). Throws std::system_error.
class leased_command {
 public:
  // Starts a process that has the pid of the command, and waits. It leads a process group, which
  // gets our terminal when it is executed, if that is ours.
  explicit leased_command(const std::vector<std::string>& argv);
  ~leased_command();  // ends it and all that it left behind
  leased_command(const leased_command&) = delete;

  pid_t pid() const { return pid_; }
  // Becomes readable when the command has ended.
  int end_descriptor() const { return pidfd_.get(); }
  // Executes it, with these variables (NAME=value) beside ours.
  void execute(const std::vector<std::string>& variables);
  // Sends a signal to the group; the command may not be executed yet.
  void signal(int number) const;
  // The exit status as a shell gives it, once it has ended; kills what is left of its group.
  std::optional<int> status();

 private:
  pid_t pid_ = -1;
  unique_fd pidfd_, order_;  // the variables go to the latter; its end executes the command
  std::optional<int> status_;
  bool has_terminal_ = false;
};

}  // namespace signalbox::commands
