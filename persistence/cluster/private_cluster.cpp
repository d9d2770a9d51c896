#include "persistence/cluster/private_cluster.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <utility>

#include "persistence/cluster/child_process.hpp"
#include "persistence/cluster/cluster_place.hpp"
#include "scheduling/types.hpp"

namespace signalbox::persistence {

namespace fs = std::filesystem;

namespace {

using clock = std::chrono::steady_clock;

constexpr std::uintmax_t max_log_bytes = 10 * 1024 * 1024;  // a start truncates a larger log
constexpr std::size_t max_told_lines = 20;                  // lines of the log that an error shows
constexpr auto initdb_timeout = std::chrono::seconds(120);
constexpr auto initdb_poll = std::chrono::milliseconds(50);
constexpr auto ready_timeout = std::chrono::seconds(60);
constexpr auto ready_poll = std::chrono::milliseconds(20);
constexpr auto fast_stop_timeout = std::chrono::seconds(30);
constexpr auto immediate_stop_timeout = std::chrono::seconds(10);
constexpr auto min_pause = std::chrono::milliseconds(500);  // after the first failed restart
constexpr auto max_pause = std::chrono::seconds(30);
constexpr auto proven_after = std::chrono::seconds(60);  // a longer run: restart at once

fs::path prepare_folder(const fs::path& data_dir) {
  std::error_code error;
  fs::create_directories(data_dir, error);
  fs::path folder = error ? fs::path() : fs::canonical(data_dir, error);
  if (error) {
    throw std::runtime_error(
        fmt::format("the data folder {} cannot be used: {}", data_dir.string(), error.message()));
  }
  return folder;
}

std::string last_lines(const fs::path& log) {
  std::deque<std::string> lines;
  std::ifstream file(log);
  for (std::string line; std::getline(file, line);) {
    lines.push_back(line);
    if (lines.size() > max_told_lines) lines.pop_front();
  }
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

void sync_folder(const fs::path& folder) {
  const int file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return;
  ::fsync(file);
  ::close(file);
}

// Processes that initdb started may outlive it for a moment and remove files themselves.
void remove_draft(const fs::path& draft) {
  stop_leftovers(draft);
  std::error_code error;
  for (int attempt = 0; attempt < 100; ++attempt) {
    fs::remove_all(draft, error);
    if (error != std::errc::no_such_file_or_directory) break;
  }
  if (error) throw fs::filesystem_error("cannot remove", draft, error);
}

// Makes the cluster beside its place and moves it there when it is complete, so that a start that
// is killed half-way leaves nothing that looks like a cluster.
void initialise(const cluster_place& place, const fs::path& programs, const fs::path& log,
                const std::function<bool()>& interrupted) {
  if (fs::exists(place.folder) && !fs::is_empty(place.folder)) {
    throw std::runtime_error(
        fmt::format("{} is neither empty nor a PostgreSQL cluster", place.folder.string()));
  }
  fs::path draft = place.folder;
  draft += ".new";
  remove_draft(draft);
  fs::create_directory(draft);
  fs::permissions(draft, fs::perms::owner_all);
  give_to(draft, place.run_as);
  child_command command;
  command.argv = {programs / "initdb",
                  "-D",
                  draft,
                  "--username=signalbox",
                  "--auth-local=trust",
                  "--auth-host=reject",
                  "--encoding=UTF8",
                  "--locale=C.UTF-8",
                  "--data-checksums",
                  "--no-instructions"};
  command.run_as = place.run_as;
  command.output = log;
  command.death_signal = SIGKILL;
  spdlog::info("database: making a PostgreSQL cluster in {}", place.folder.string());
  child_process initdb(command);
  const auto deadline = clock::now() + initdb_timeout;
  auto status = initdb.wait_for(initdb_poll);
  while (!status && clock::now() < deadline) {
    if (interrupted()) throw start_interrupted("stopped while initdb ran");
    status = initdb.wait_for(initdb_poll);
  }
  if (status != 0) {
    throw std::runtime_error(fmt::format("initdb failed in {}; the end of {}:{}", draft.string(),
                                         log.string(), last_lines(log)));
  }
  fs::rename(draft, place.folder);
  sync_folder(place.folder.parent_path());
  spdlog::info("database: made a PostgreSQL cluster in {}", place.folder.string());
}

// PostgreSQL takes any process with the recorded pid for the holder of its lock, even a zombie or,
// after a container restarts, a stranger. We know that none holds it: stop_leftovers has run and we
// hold our own lock.
void remove_stale_locks(const fs::path& cluster, const fs::path& socket_folder) {
  fs::remove(cluster / "postmaster.pid");
  fs::remove(socket_folder / ".s.PGSQL.5432.lock");
}

std::string text_of_status(int status) {
  return WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                             : fmt::format("exit status {}", WEXITSTATUS(status));
}

child_command server_command(const cluster_place& place, const fs::path& programs,
                             const fs::path& socket_folder, const fs::path& log) {
  child_command command;
  command.argv = {programs / "postgres", "-D", place.folder};
  for (const std::string& setting :
       {std::string("listen_addresses="), "unix_socket_directories=" + socket_folder.string(),
        std::string("unix_socket_permissions=0700"), std::string("port=5432"),
        std::string("max_connections=20"), std::string("shared_buffers=64MB"),
        std::string("max_wal_size=256MB"), std::string("jit=off"), std::string("fsync=on"),
        std::string("synchronous_commit=on"), std::string("logging_collector=off"),
        std::string("log_destination=stderr"), std::string("log_checkpoints=off")}) {
    command.argv.insert(command.argv.end(), {"-c", setting});
  }
  command.run_as = place.run_as;
  command.folder = place.folder;
  command.output = log;
  command.death_signal = SIGINT;  // fast shutdown
  return command;
}

}  // namespace

struct private_cluster::process {
  const fs::path data_dir;
  const folder_lock data_lock;
  const cluster_place place;
  // Two data folders may lead to one cluster, when one is a copy of the other.
  std::optional<folder_lock> cluster_lock;
  const fs::path log;
  std::string url;
  fs::path socket_folder;
  child_command command;
  std::optional<child_process> server;  // used by `keeper` only while that runs
  std::atomic<bool> is_running = false;
  std::jthread keeper;

  process(const fs::path& folder, const std::function<bool()>& interrupted)
      : data_dir(prepare_folder(folder)),
        data_lock(data_dir),
        place(find_place(data_dir)),
        log(data_dir / "postgres.log") {
    fs::create_directories(place.folder.parent_path());
    if (!fs::equivalent(place.folder.parent_path(), data_dir)) {
      cluster_lock.emplace(place.folder.parent_path());
    }
    const fs::path programs = find_programs(place.folder);
    if (!is_cluster(place.folder)) initialise(place, programs, log, interrupted);
    socket_folder = make_socket_folder(place);
    url = fmt::format("host={} port=5432 user=signalbox dbname=postgres", socket_folder.string());
    command = server_command(place, programs, socket_folder, log);
    start(interrupted);
    keeper = std::jthread([this](const std::stop_token& ending) { keep(ending); });
  }

  ~process() {
    keeper.request_stop();
    keeper.join();
    stop();
  }

  void start(const std::function<bool()>& interrupted) {
    stop_leftovers(place.folder);
    std::error_code ignored;
    if (fs::file_size(log, ignored) > max_log_bytes && !ignored) fs::resize_file(log, 0);
    remove_stale_locks(place.folder, socket_folder);
    server.emplace(command);
    const std::string ping = url + " connect_timeout=5";
    const auto deadline = clock::now() + ready_timeout;
    while (PQping(ping.c_str()) != PQPING_OK) {
      if (interrupted()) {
        stop();
        throw start_interrupted("stopped while PostgreSQL started");
      }
      const bool has_ended = server->wait_for(ready_poll).has_value();
      if (!has_ended && clock::now() < deadline) continue;
      stop();
      throw std::runtime_error(
          fmt::format("PostgreSQL in {} {}; the end of {}:{}", place.folder.string(),
                      has_ended ? "ended at once" : "was not ready within 60 s", log.string(),
                      last_lines(log)));
    }
    spdlog::info("database: PostgreSQL runs in {} (pid {})", place.folder.string(), server->pid());
    is_running = true;
  }

  // Starts the server again whenever it ends.
  void keep(const std::stop_token& ending) {
    std::chrono::milliseconds pause(0);
    auto started = clock::now();
    while (const auto status = server->wait_until(ending)) {
      if (ending.stop_requested()) return;
      is_running = false;
      spdlog::error("database: PostgreSQL (pid {}) ended unasked with {}", server->pid(),
                    text_of_status(*status));
      server.reset();
      if (clock::now() - started >= proven_after) pause = std::chrono::milliseconds(0);
      while (!server) {
        if (!wait_for(pause, ending)) return;
        pause = std::clamp<std::chrono::milliseconds>(2 * pause, min_pause, max_pause);
        if (!start_again(pause, ending)) return;
      }
      started = clock::now();
    }
  }

  // Returns false when the cluster is to end.
  static bool wait_for(std::chrono::milliseconds pause, const std::stop_token& ending) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, ending, pause, [] { return false; });
    return !ending.stop_requested();
  }

  // Returns false when the cluster is to end. `pause` is the time before the next attempt, if this
  // one fails.
  bool start_again(std::chrono::milliseconds pause, const std::stop_token& ending) {
    try {
      start([&ending] { return ending.stop_requested(); });
    } catch (const start_interrupted&) {
      return false;
    } catch (const std::exception& error) {
      server.reset();
      spdlog::error("database: tried again in {} s: {}", to_seconds(pause), error.what());
    }
    return true;
  }

  void stop() {
    if (!server) return;
    server->signal(SIGINT);
    if (!server->wait_for(fast_stop_timeout)) {
      spdlog::warn(
          "database: PostgreSQL does not stop, forcing it (it recovers at the next start)");
      server->signal(SIGQUIT);
      server->wait_for(immediate_stop_timeout);
    }
    server.reset();
  }
};

private_cluster::private_cluster(fs::path data_dir, std::function<bool()> interrupted)
    : process_(std::make_unique<process>(
          data_dir, interrupted ? std::move(interrupted) : [] { return false; })) {}

private_cluster::~private_cluster() = default;

const std::string& private_cluster::url() const {
  return process_->url;
}

bool private_cluster::is_running() const {
  return process_->is_running;
}

}  // namespace signalbox::persistence
