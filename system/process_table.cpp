#include "system/process_table.hpp"

#include <dirent.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "system/pidfd.hpp"

namespace signalbox {
namespace {

std::string read_file(pid_t pid, const char* name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();  // an iterator would throw when the process ends meanwhile
  return text.str();
}

// `with_zombies`: also one that has ended and was not reaped.
std::optional<process> look_at(pid_t pid, bool with_zombies) {
  const auto stat = read_file(pid, "stat");
  const auto name_begin = stat.find('(');
  const auto name_end = stat.rfind(')');  // the name may hold anything
  if (name_begin == std::string::npos || name_end == std::string::npos) return std::nullopt;
  process found;
  found.pid = pid;
  found.name = stat.substr(name_begin + 1, name_end - name_begin - 1);
  char state = 0;
  pid_t group = 0;
  std::istringstream fields(stat.substr(name_end + 1));
  fields >> state >> found.parent >> group >> found.session;
  if (!with_zombies && (state == 'Z' || state == 'X')) return std::nullopt;
  std::string skipped;
  for (int field = 7; field < 14; ++field) fields >> skipped;  // as numbered in proc(5)
  std::uint64_t user_ticks = 0, system_ticks = 0;
  fields >> user_ticks >> system_ticks;
  found.cpu_ticks = user_ticks + system_ticks;
  for (int field = 16; field < 22; ++field) fields >> skipped;
  fields >> found.start_ticks;
  return fields ? std::optional(found) : std::nullopt;
}

// Calls `look` with the pid of each process.
template <class Look>
void for_each_pid(const char* folder, Look look) {
  DIR* entries = opendir(folder);
  if (!entries) return;
  while (const dirent* entry = readdir(entries)) {
    const auto pid = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (pid > 0) look(pid);
  }
  closedir(entries);
}

}  // namespace

std::optional<process> look_at(pid_t pid) {
  return look_at(pid, false);
}

std::string environment_value(pid_t pid, const std::string& name) {
  const auto environment = '\0' + read_file(pid, "environ");
  const auto entry = '\0' + name + '=';
  const auto found = environment.find(entry);
  if (found == std::string::npos) return {};
  return environment.c_str() + found + entry.size();  // up to the next zero
}

std::vector<process> find_processes(const process_filter& belongs) {
  std::vector<process> found;
  for_each_pid("/proc", [&](pid_t pid) {
    if (pid == getpid()) return;
    const auto candidate = look_at(pid);
    if (candidate && belongs(*candidate)) found.push_back(*candidate);
  });
  return found;
}

// Each thread has a list of children. Kernels may be built without these lists.
std::vector<pid_t> list_children() {
  std::vector<pid_t> children;
  bool has_lists = false;
  for_each_pid("/proc/self/task", [&](pid_t thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/children");
    has_lists = has_lists || file;
    for (pid_t pid; file >> pid;) children.push_back(pid);
  });
  if (has_lists) return children;
  for_each_pid("/proc", [&](pid_t pid) {
    const auto candidate = look_at(pid, true);
    if (candidate && candidate->parent == getpid()) children.push_back(pid);
  });
  return children;
}

// Looks again behind the descriptor: the pid may have been reused meanwhile.
unique_fd open_process(const process& p) {
  auto pidfd = open_pidfd(p.pid);
  const auto now = look_at(p.pid);
  if (!now || now->start_ticks != p.start_ticks) return {};
  return pidfd;
}

std::vector<process> kill_processes(const process_filter& belongs) {
  auto found = find_processes(belongs);
  for (const auto& p : found) send_signal(open_process(p), SIGKILL);
  return found;
}

}  // namespace signalbox
