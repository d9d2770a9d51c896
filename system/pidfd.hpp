// Descriptors of processes. Unlike a pid, such a descriptor never comes to mean another process.
#pragma once

#include <sys/types.h>

#include <chrono>

#include "system/unique_fd.hpp"

namespace signalbox {

// Opens a process. The descriptor is close-on-exec and becomes readable when the process ends. On
// failure it is empty and errno says why.
unique_fd open_pidfd(pid_t pid);

// Does nothing when the process has ended or the descriptor is empty.
void send_signal(const unique_fd& pidfd, int number);

// Returns true when the process has ended or the descriptor is empty, and false when it still runs
// after `max_wait`.
bool wait_for_end(const unique_fd& pidfd, std::chrono::milliseconds max_wait);

}  // namespace signalbox
