// The gateway's own PostgreSQL, for those who have none: a cluster in the data folder, reachable by
// Unix socket only, started and stopped with the gateway.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace signalbox::persistence {

// It was asked to stop before it was ready.
class start_interrupted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Started in the constructor: initdb on first use, then postgres as a child process (as root: both
// under the user `postgres`, which gets to own the cluster's folder). A cluster left running by a
// gateway that was killed is stopped first (its postmaster.pid tells), and PostgreSQL recovers by
// itself. When it dies while the gateway lives it is started again: at once, then after pauses that
// grow. It dies with the gateway (PR_SET_PDEATHSIG → SIGINT, fast shutdown). The constructor throws
// std::runtime_error that says what is missing (no PostgreSQL binaries, folder not writable, not
// ready within 60 s: with the last lines of its log).
class private_cluster {
 public:
  // Uses data_dir/postgres. `interrupted` is asked while initdb runs and while the server starts or
  // recovers: once it is true they are stopped, and start_interrupted is thrown.
  explicit private_cluster(std::filesystem::path data_dir, std::function<bool()> interrupted = {});
  ~private_cluster();  // fast shutdown, waits at most 30 s
  private_cluster(const private_cluster&) = delete;
  private_cluster& operator=(const private_cluster&) = delete;

  const std::string& url() const;  // for database
  bool is_running() const;         // false: it died, and is being started again

 private:
  struct process;
  std::unique_ptr<process> process_;
};

}  // namespace signalbox::persistence
