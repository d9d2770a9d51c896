// Starts programs, also from a process with many threads.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "system/account.hpp"

namespace signalbox {

inline constexpr int control_fd = 3;  // what `control` becomes in the program

struct program_start {
  std::vector<std::string> argv;         // argv[0] is a path, or a name to find in our PATH
  std::vector<std::string> environment;  // all of it, as NAME=value
  std::filesystem::path folder{};        // working folder; empty: ours
  int output = -1;                       // becomes stdout and stderr; -1: /dev/null
  int control = -1;                      // becomes control_fd; -1: there is none
  std::optional<account> run_as{};       // needs root
  std::optional<mode_t> file_mask{};     // umask; none: ours
  // Sent to the program when the *thread* that started it ends; 0: none.
  int death_signal = 0;
};

// Starts a program in a session of its own, so that a Ctrl-C in our terminal does not reach it. It
// has default signal handling, /dev/null as stdin, no other descriptor of ours, and the limit of
// descriptors that we had at our start. The caller has to wait for the pid (wait_for_child). Throws
// std::system_error when the program cannot be started or executed.
pid_t start_program(const program_start& start);

}  // namespace signalbox
