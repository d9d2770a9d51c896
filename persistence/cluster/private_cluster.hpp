// The gateway's own PostgreSQL, for machines without one: a cluster in the data folder that listens
// on a Unix socket only and starts and stops with the gateway.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace signalbox::persistence {

// Thrown when the start is interrupted before the cluster is ready.
class start_interrupted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Starts the cluster in its constructor: initdb on first use, then postgres as a child process. As
// root both run under the user `postgres`, who gets to own the folder.
// A cluster that a killed gateway left running is stopped first (found by its postmaster.pid);
// PostgreSQL then recovers by itself. A server that dies while the gateway lives is started again:
// at once, then after growing pauses. When the gateway dies, the server shuts down
// (PR_SET_PDEATHSIG: SIGINT, fast shutdown).
// The constructor throws std::runtime_error that says what is missing (no PostgreSQL programs,
// folder not writable, not ready within 60 s: with the last lines of the log).
class private_cluster {
 public:
  // Uses data_dir/postgres. While initdb runs and while the server starts, `interrupted` is asked:
  // once it returns true, both are stopped and start_interrupted is thrown.
  explicit private_cluster(std::filesystem::path data_dir, std::function<bool()> interrupted = {});
  ~private_cluster();  // fast shutdown, waits at most 30 s
  private_cluster(const private_cluster&) = delete;
  private_cluster& operator=(const private_cluster&) = delete;

  const std::string& url() const;  // connection string for `database`
  bool is_running() const;         // false: it died and is being restarted

 private:
  struct process;
  std::unique_ptr<process> process_;
};

}  // namespace signalbox::persistence
