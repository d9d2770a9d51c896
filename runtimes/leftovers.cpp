#include "runtimes/leftovers.hpp"

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "runtimes/launch.hpp"

namespace signalbox::runtimes {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool belongs(const std::string& pid, const std::string& marker, pid_t session) {
  const auto stat = read_file("/proc/" + pid + "/stat");
  const auto name_end = stat.rfind(')');  // the command before it may hold anything
  if (name_end == std::string::npos) return false;
  char state = 0;
  pid_t parent = 0, group = 0, in_session = 0;
  std::istringstream fields(stat.substr(name_end + 1));
  fields >> state >> parent >> group >> in_session;
  if (state == 'Z' || state == 'X') return false;  // dead; its parent has only not noticed
  if (in_session == session) return true;
  const auto environment = '\0' + read_file("/proc/" + pid + "/environ");
  return environment.find(marker) != std::string::npos;
}

}  // namespace

std::size_t kill_leftovers(const std::string& run_id, pid_t guard_session) {
  const auto marker = '\0' + std::string(run_marker) + '=' + run_id + '\0';
  std::size_t found = 0;
  DIR* proc = opendir("/proc");
  if (!proc) return 0;
  while (const dirent* entry = readdir(proc)) {
    const std::string pid = entry->d_name;
    const auto number = static_cast<pid_t>(std::strtol(pid.c_str(), nullptr, 10));
    if (number <= 0 || number == getpid() || !belongs(pid, marker, guard_session)) continue;
    ++found;
    // Looked at again behind the pidfd: the pid may have become another process meanwhile.
    const unique_fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, number, 0)));
    if (pidfd.get() >= 0 && belongs(pid, marker, guard_session)) {
      syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
    }
  }
  closedir(proc);
  return found;
}

}  // namespace signalbox::runtimes
