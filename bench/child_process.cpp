#include "bench/child_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

namespace signalbox::bench {
namespace {

using std::chrono::milliseconds;
using steady = std::chrono::steady_clock;

sigset_t taken_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGCHLD}) sigaddset(&set, number);
  return set;
}

// Waits for one of the signals, until the time is over: 0.
int wait_for_signal(milliseconds time) {
  const sigset_t set = taken_signals();
  const auto left = std::max(time, milliseconds(0));
  const timespec limit{left.count() / 1000, left.count() % 1000 * 1'000'000};
  const int number = sigtimedwait(&set, nullptr, &limit);
  return number < 0 ? 0 : number;
}

[[noreturn]] void become(const std::vector<std::string>& argv, int log, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(127);  // it died before prctl
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::vector<char*> pointers, environment;
  for (const auto& text : argv) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  // Nothing else: a DATABASE_URL of this shell must not reach the gateway.
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    for (const char* kept : {"PATH=", "HOME=", "TMPDIR=", "USER="}) {
      if (text.starts_with(kept)) environment.push_back(*entry);
    }
  }
  environment.push_back(nullptr);
  execvpe(pointers[0], pointers.data(), environment.data());
  dprintf(STDERR_FILENO, "cannot start %s: %s\n", pointers[0], std::strerror(errno));
  _exit(127);
}

}  // namespace

void take_signals() {
  const sigset_t set = taken_signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

void pause_for(milliseconds time) {
  const auto until = steady::now() + time;
  do {
    const int number =
        wait_for_signal(std::chrono::duration_cast<milliseconds>(until - steady::now()));
    if (number == SIGINT || number == SIGTERM) throw interrupted();
  } while (steady::now() < until);
}

child_process::child_process(std::vector<std::string> argv, std::filesystem::path log)
    : log_(std::move(log)) {
  const int output = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (output < 0) throw std::runtime_error("cannot write " + log_.string());
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become(argv, output, parent);
  close(output);
  if (pid_ < 0) throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
}

child_process::~child_process() {
  stop();
}

std::optional<int> child_process::poll() {
  if (status_) return status_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) {
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return status_;
}

std::optional<int> child_process::wait(milliseconds time) {
  const auto until = steady::now() + time;
  while (!poll()) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - steady::now());
    if (left.count() <= 0) return std::nullopt;
    const int number = wait_for_signal(left);
    if (number == SIGINT || number == SIGTERM) throw interrupted();
  }
  return status_;
}

void child_process::stop(milliseconds grace) noexcept {
  if (poll()) return;
  kill(pid_, SIGTERM);
  const auto until = steady::now() + grace;
  while (!poll() && steady::now() < until) wait_for_signal(milliseconds(50));
  if (poll()) return;
  kill(-pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  status_ = 128 + SIGKILL;
}

std::string child_process::output() const {
  std::ifstream file(log_, std::ios::binary | std::ios::ate);
  const std::streamoff size = file.tellg(), most = 16 * 1024;
  if (size <= 0) return "";
  file.seekg(std::max<std::streamoff>(0, size - most));
  return {std::istreambuf_iterator<char>(file), {}};
}

double cpu_seconds(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto name_end = text.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) throw std::runtime_error("a measured process is gone");
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::uint64_t resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t total = 0, resident = 0;
  if (!(file >> total >> resident)) throw std::runtime_error("a measured process is gone");
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint16_t free_port() {
  using boost::asio::ip::tcp;
  boost::asio::io_context io;
  return tcp::acceptor(io, {boost::asio::ip::address_v4::loopback(), 0}).local_endpoint().port();
}

}  // namespace signalbox::bench
