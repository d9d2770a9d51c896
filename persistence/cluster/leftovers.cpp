// Ends what a killed gateway left of its cluster. The postmaster may still be shutting down, or a
// backend may still be finishing; nothing may start in the folder before they are gone.
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "persistence/cluster/cluster_place.hpp"
#include "system/pidfd.hpp"
#include "system/process_table.hpp"

namespace signalbox::persistence {

namespace fs = std::filesystem;

namespace {

using clock = std::chrono::steady_clock;

// All processes of PostgreSQL work in the folder of their cluster.
bool works_in(pid_t pid, const fs::path& cluster) {
  const fs::path entry = fs::path("/proc") / std::to_string(pid);
  std::error_code error;
  const fs::path folder = fs::read_symlink(entry / "cwd", error);
  if (error || folder != cluster) return false;
  const fs::path program = fs::read_symlink(entry / "exe", error);
  return !error && program.filename().string().rfind("postgres", 0) == 0;
}

std::vector<process> processes_of(const fs::path& cluster) {
  return find_processes([&](const process& p) { return works_in(p.pid, cluster); });
}

}  // namespace

void stop_leftovers(const fs::path& cluster) {
  std::error_code error;
  const fs::path folder = fs::canonical(cluster, error);
  if (error) return;  // there is no cluster yet
  // Fast shutdown (cancels a backend), immediate shutdown, kill.
  constexpr std::array<std::pair<int, std::chrono::seconds>, 3> steps{{
      {SIGINT, std::chrono::seconds(20)},
      {SIGQUIT, std::chrono::seconds(5)},
      {SIGKILL, std::chrono::seconds(5)},
  }};
  for (const auto& [number, limit] : steps) {
    const auto processes = processes_of(folder);
    if (processes.empty()) return;
    spdlog::warn("database: {} processes of an earlier run still work in {}, sending signal {}",
                 processes.size(), folder.string(), number);
    const auto deadline = clock::now() + limit;
    std::vector<unique_fd> pidfds;
    for (const auto& p : processes) pidfds.push_back(open_process(p));
    for (const auto& pidfd : pidfds) send_signal(pidfd, number);
    for (const auto& pidfd : pidfds) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now());
      wait_for_end(pidfd, std::max(left, std::chrono::milliseconds(0)));
    }
  }
  if (!processes_of(folder).empty()) {
    throw std::runtime_error(fmt::format("processes in {} cannot be ended", folder.string()));
  }
}

}  // namespace signalbox::persistence
