#include "bench/child_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <fstream>
#include <iterator>

#include "system/process_table.hpp"
#include "system/start_program.hpp"
#include "system/unique_fd.hpp"

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

// Waits for one of the signals; returns 0 when the time is over.
int wait_for_signal(milliseconds time) {
  const sigset_t set = taken_signals();
  const auto left = std::max(time, milliseconds(0));
  const timespec limit{left.count() / 1000, left.count() % 1000 * 1'000'000};
  const int number = sigtimedwait(&set, nullptr, &limit);
  return number < 0 ? 0 : number;
}

// Keeps few variables: a DATABASE_URL of this shell must not reach the gateway.
std::vector<std::string> small_environment() {
  std::vector<std::string> kept;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    for (const char* name : {"PATH=", "HOME=", "TMPDIR=", "USER="}) {
      if (text.starts_with(name)) kept.emplace_back(text);
    }
  }
  return kept;
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
  const unique_fd output(open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (output.get() < 0) throw std::runtime_error("cannot write " + log_.string());
  pid_ = start_program({.argv = std::move(argv),
                        .environment = small_environment(),
                        .output = output.get(),
                        .death_signal = SIGTERM});
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
  const std::streamoff size = file.tellg(), max_bytes = 16 * 1024;
  if (size <= 0) return "";
  file.seekg(std::max<std::streamoff>(0, size - max_bytes));
  return {std::istreambuf_iterator<char>(file), {}};
}

double cpu_seconds(pid_t pid) {
  const auto measured = look_at(pid);
  if (!measured) throw std::runtime_error("a measured process is gone");
  return static_cast<double>(measured->cpu_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
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
