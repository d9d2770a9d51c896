#include "runtimes/leftovers.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <set>
#include <sstream>
#include <system_error>

#include "runtimes/launch.hpp"
#include "system/pidfd.hpp"
#include "system/process_table.hpp"

namespace signalbox::runtimes {
namespace {

using namespace std::chrono_literals;

constexpr const char* guard_name = "signalbox-guard";  // fits into the 15 bytes of a process name
constexpr auto guard_patience = 2s;
constexpr auto kill_patience = 8s;
constexpr auto max_wait_for_one = 100ms;  // then the list is read anew

// Waits until `find` finds no process. Returns false when it still does after `max_wait`.
template <typename Find>
bool wait_until_none(std::chrono::nanoseconds max_wait, Find find) {
  const auto deadline = std::chrono::steady_clock::now() + max_wait;
  for (auto found = find(); !found.empty(); found = find()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    wait_for_end(open_process(found.front()), max_wait_for_one);
  }
  return true;
}

std::string run_of(const process& p) {
  return environment_value(p.pid, run_marker);
}

}  // namespace

run_names::run_names(const std::string& data_dir) {
  struct stat info {};
  if (stat(data_dir.c_str(), &info) != 0) {
    throw std::system_error(errno, std::generic_category(), "the data folder " + data_dir);
  }
  folder_ = fmt::format("{:x}.{:x}", info.st_dev, info.st_ino);
  const auto self = look_at(getpid());
  gateway_ = fmt::format("{}.{}", getpid(), self ? self->start_ticks : 0);
}

std::string run_names::next() const {
  static std::atomic<std::uint64_t> count{0};
  return fmt::format("{}-{}-{}", folder_, gateway_, ++count);
}

bool run_names::is_orphan(const std::string& run_id) const {
  const auto mine = folder_ + "-";
  if (!run_id.starts_with(mine)) return false;
  std::istringstream rest(run_id.substr(mine.size()));
  pid_t pid = 0;
  char dot = 0;
  std::uint64_t start_ticks = 0;
  if (!(rest >> pid >> dot >> start_ticks)) return false;
  const auto gateway = look_at(pid);
  return !gateway || gateway->start_ticks != start_ticks;
}

std::size_t kill_leftovers(const std::string& run_id, pid_t guard_session) {
  return kill_processes(
             [&](const process& p) { return p.session == guard_session || run_of(p) == run_id; })
      .size();
}

void end_orphans(const run_names& names) {
  const auto is_orphan = [&](const process& p) { return names.is_orphan(run_of(p)); };
  const auto is_guard = [&](const process& p) { return p.name == guard_name && is_orphan(p); };
  // A living guard notices that its gateway is gone and knows its tree better than we do.
  wait_until_none(guard_patience, [&] { return find_processes(is_guard); });
  std::set<std::string> ended;
  const bool gone = wait_until_none(kill_patience, [&] {
    auto found = kill_processes(is_orphan);
    for (const auto& p : found) ended.insert(fmt::format("{} ({})", p.name, p.pid));
    return found;
  });
  if (ended.empty()) return;
  spdlog::warn("killed what an earlier gateway left running: {}", fmt::join(ended, ", "));
  if (!gone) spdlog::error("not all of it ended: GPU memory may still be taken");
}

}  // namespace signalbox::runtimes
