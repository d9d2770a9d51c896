// Starts the guard of a runtime with the program, arguments and environment of its model.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtimes/driver.hpp"
#include "system/unique_fd.hpp"

namespace signalbox::runtimes {

// In the environment of each process of a run.
inline constexpr const char* run_marker = "SIGNALBOX_RUN";

// Returns the command with its placeholders replaced.
std::vector<std::string> make_arguments(const config::model_options& model, std::uint16_t port,
                                        const std::string& data_dir);

// Returns the environment of a runtime. It inherits only PATH, HOME and LANG from ours, so that it
// behaves the same from every shell.
std::vector<std::string> make_environment(const config::model_options& model,
                                          const run_request& request, const std::string& run_id);

struct guard_process {
  pid_t pid = -1;
  unique_fd control;  // socket, see guard_protocol.hpp
  unique_fd output;   // stdout and stderr of the runtime, non-blocking
};

// The caller has to wait for the guard, which ends, with all that it has started, when `control` is
// closed. Throws std::system_error when there is none.
guard_process spawn_guard(const std::string& guard_path, std::vector<std::string> arguments,
                          std::vector<std::string> environment);

}  // namespace signalbox::runtimes
