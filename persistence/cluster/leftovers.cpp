// After a kill -9 of the gateway its postmaster may still be shutting down, or, when it was killed
// too, a backend may still be finishing: nothing may start in that folder before they are gone.
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "persistence/cluster/cluster_place.hpp"

namespace signalbox::persistence {

namespace fs = std::filesystem;

namespace {

using clock = std::chrono::steady_clock;

// A process that cannot be mistaken for a later one with the same pid.
class process_handle {
 public:
  explicit process_handle(pid_t pid)
      : file_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))) {}
  ~process_handle() {
    if (file_ >= 0) ::close(file_);
  }
  process_handle(process_handle&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  process_handle& operator=(process_handle&&) = delete;

  void signal(int number) const { ::syscall(SYS_pidfd_send_signal, file_, number, nullptr, 0U); }

  void wait_until(clock::time_point deadline) const {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock::now());
    pollfd watched{file_, POLLIN, 0};
    if (file_ >= 0 && left.count() > 0) ::poll(&watched, 1, static_cast<int>(left.count()));
  }

 private:
  int file_;
};

// Every process of PostgreSQL works in the folder of its cluster.
bool works_in(pid_t pid, const fs::path& cluster) {
  const fs::path entry = fs::path("/proc") / std::to_string(pid);
  std::error_code error;
  const fs::path folder = fs::read_symlink(entry / "cwd", error);
  if (error || folder != cluster) return false;
  const fs::path program = fs::read_symlink(entry / "exe", error);
  return !error && program.filename().string().rfind("postgres", 0) == 0;
}

std::vector<process_handle> processes_of(const fs::path& cluster) {
  std::vector<process_handle> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    if (!works_in(pid, cluster)) continue;
    process_handle handle(pid);
    if (works_in(pid, cluster)) found.push_back(std::move(handle));  // still the same one
  }
  return found;
}

}  // namespace

void stop_leftovers(const fs::path& cluster) {
  std::error_code error;
  const fs::path folder = fs::canonical(cluster, error);
  if (error) return;  // nothing there yet
  // Fast shutdown (to a backend: cancel), immediate shutdown, and what cannot be disobeyed.
  constexpr std::array<std::pair<int, std::chrono::seconds>, 3> steps{{
      {SIGINT, std::chrono::seconds(20)},
      {SIGQUIT, std::chrono::seconds(5)},
      {SIGKILL, std::chrono::seconds(5)},
  }};
  for (const auto& [number, limit] : steps) {
    std::vector<process_handle> processes = processes_of(folder);
    if (processes.empty()) return;
    spdlog::warn("database: {} processes of an earlier run still work in {}, sending signal {}",
                 processes.size(), folder.string(), number);
    const auto deadline = clock::now() + limit;
    for (const process_handle& process : processes) process.signal(number);
    for (const process_handle& process : processes) process.wait_until(deadline);
  }
  if (!processes_of(folder).empty()) {
    throw std::runtime_error(fmt::format("processes in {} cannot be ended", folder.string()));
  }
}

}  // namespace signalbox::persistence
