#include "system/process_table.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <system_error>

#include "system/pidfd.hpp"

namespace signalbox {
namespace {

[[noreturn]] void cannot_read(const std::string& path, int error) {
  throw std::system_error(error, std::generic_category(), "cannot read " + path);
}

// Returns nothing when the file is not there (any more).
std::optional<std::string> read_file(const std::string& path) {
  const unique_fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> buffer;
  std::string text;
  for (;;) {
    const auto size = file.get() < 0 ? -1 : read(file.get(), buffer.data(), buffer.size());
    if (size == 0) return text;
    if (size > 0) {
      text.append(buffer.data(), static_cast<std::size_t>(size));
    } else if (errno == ENOENT || errno == ESRCH) {
      return std::nullopt;
    } else if (file.get() < 0 || errno != EINTR) {
      cannot_read(path, errno);
    }
  }
}

// Empty when the process is gone, or does not let us look: those of other users need not.
std::string read_file(pid_t pid, const char* name) {
  try {
    return read_file("/proc/" + std::to_string(pid) + "/" + name).value_or("");
  } catch (const std::system_error& e) {
    if (e.code() == std::errc::permission_denied ||
        e.code() == std::errc::operation_not_permitted) {
      return {};
    }
    throw;
  }
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
  const auto close = [](DIR* entries) { closedir(entries); };
  const std::unique_ptr<DIR, decltype(close)> entries(opendir(folder), close);
  if (!entries) cannot_read(folder, errno);
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(entries.get());
    if (!entry && errno != 0) cannot_read(folder, errno);
    if (!entry) return;
    const auto pid = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (pid > 0) look(pid);
  }
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
    const auto list = read_file("/proc/self/task/" + std::to_string(thread) + "/children");
    has_lists = has_lists || list;
    std::istringstream numbers(list.value_or(""));
    for (pid_t pid; numbers >> pid;) children.push_back(pid);
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
