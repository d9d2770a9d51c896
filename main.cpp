// The command line: serve, migrate, check-config, version, and those in commands/.
#include <poll.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>

#include "access/admin_key.hpp"
#include "access/gateway_file.hpp"
#include "actors/control_plane.hpp"
#include "actors/metrics.hpp"
#include "commands/keys.hpp"
#include "commands/lease.hpp"
#include "commands/models.hpp"
#include "commands/reload.hpp"
#include "commands/storage.hpp"
#include "commands/subcommands.hpp"
#include "commands/usage.hpp"
#include "commands/users.hpp"
#include "config/load.hpp"
#include "http/serve/gateway.hpp"
#include "persistence/database.hpp"
#include "persistence/migrator.hpp"
#include "runtimes/driver.hpp"
#include "system/descriptor_limit.hpp"
#include "system/unique_fd.hpp"

namespace {

using namespace signalbox;
namespace fs = std::filesystem;

constexpr auto database_patience = std::chrono::seconds(30);
constexpr auto max_pause = std::chrono::milliseconds(1000);  // between two attempts to connect

// Runtimes get at least this long to stop, however long the last requests took.
constexpr auto min_stop_time = std::chrono::seconds(1);

// At shutdown usage waits this long for a private database that is being restarted.
constexpr auto restart_patience = std::chrono::seconds(10);

struct arguments {
  std::optional<fs::path> config;
  std::string data;
  std::vector<std::string> listen;
  bool print_schema = false;
};

std::string program_dir() {
  return fs::read_symlink("/proc/self/exe").parent_path().string();
}

config::settings load_settings(const arguments& args,
                               const std::optional<config::machine_check>& machine = {}) {
  auto settings = config::load(args.config, config::process_environment(), machine);
  if (!args.data.empty()) settings.data_dir = args.data;
  if (!args.listen.empty()) settings.server.listen = args.listen;
  config::validate(settings);
  settings.data_dir = fs::absolute(settings.data_dir).lexically_normal().string();
  return settings;
}

// `min_level`: the lowest level to log, for commands whose output matters more than the log.
void set_up_log(const config::settings& settings, spdlog::level::level_enum min_level = {}) {
  auto logger = spdlog::stderr_color_mt("signalbox");
  logger->set_level(std::max(min_level, spdlog::level::from_str(settings.log.level)));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

// One thread waits for signals; threads that are created later inherit the blocked mask.
class signal_waiter {
 public:
  signal_waiter() {
    std::signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set_);
    for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    sigset_t ends;
    sigemptyset(&ends);
    for (int signal : {SIGINT, SIGTERM}) sigaddset(&ends, signal);
    end_ = unique_fd(signalfd(-1, &ends, SFD_CLOEXEC));
    if (end_.get() < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
  }

  int wait() const {
    int signal = 0;
    sigwait(&set_, &signal);
    return signal;
  }

  // Returns whether SIGINT or SIGTERM is pending, or arrives within `limit`. Signals that wait()
  // has taken do not count: during the start this is the first one, later a second one.
  bool asked_to_end(std::chrono::milliseconds limit = std::chrono::milliseconds(0)) const {
    pollfd look{end_.get(), POLLIN, 0};
    return poll(&look, 1, static_cast<int>(limit.count())) > 0;
  }

 private:
  sigset_t set_{};
  unique_fd end_;  // readable while SIGINT or SIGTERM is pending
};

// Waits for a database that starts a little later than we do, but not for one that refuses us. The
// schema must be current before the first row is written.
void migrate_patiently(persistence::database& db, const signal_waiter& signals) {
  const auto deadline = std::chrono::steady_clock::now() + database_patience;
  std::string told;
  for (auto pause = std::chrono::milliseconds(200);; pause = std::min(2 * pause, max_pause)) {
    try {
      const auto report = persistence::migrate(db);
      if (report.applied > 0) spdlog::info("database: schema is at version {}", report.version);
      return;
    } catch (const persistence::database_refused&) {
      throw;
    } catch (const persistence::database_unavailable& e) {
      if (std::chrono::steady_clock::now() + pause > deadline) throw;
      if (std::exchange(told, e.what()) != e.what()) {
        spdlog::warn("database: not available yet ({})", e.what());
      }
      if (signals.asked_to_end(pause)) {
        throw persistence::start_interrupted("stopped while the database was awaited");
      }
    }
  }
}

void await_restart(const commands::storage& store, const signal_waiter& signals) {
  const auto deadline = std::chrono::steady_clock::now() + restart_patience;
  while (store.cluster && !store.cluster->is_running() &&
         std::chrono::steady_clock::now() < deadline) {
    if (signals.asked_to_end(std::chrono::milliseconds(20))) return;
  }
}

std::vector<key_record> configured_keys(const config::settings& settings) {
  std::vector<key_record> keys;
  for (const auto& key : settings.keys) {
    key_record record;
    record.id = record.name = key.id;
    record.digest = digest_of(key.token);
    record.scopes = key.scopes;
    record.models = key.models;
    record.weight = key.weight;
    record.limits = {key.requests_per_minute, key.burst, key.tokens_per_minute, key.max_concurrent,
                     static_cast<std::uint64_t>(key.tokens_per_day)};
    keys.push_back(std::move(record));
  }
  if (keys.empty()) {
    auto admin = load_or_make_admin_key(settings.data_dir);
    if (admin.token) std::cout << "admin key (shown once): " << *admin.token << std::endl;
    keys.push_back(std::move(admin.record));
  }
  return keys;
}

void reload(control_plane& control) {
  // The control plane logs what it does.
  const bool began = control.reload(
      false, [](const reload_report&) {}, [](const std::string&) {});
  if (!began) spdlog::warn("reload: too many wait already");
}

// Returns the signal that ends the program. `fatal` is set before SIGUSR1 is sent.
int wait_for_end(control_plane& control, const signal_waiter& signals,
                 const std::atomic<bool>& fatal) {
  for (;;) {
    const int signal = signals.wait();
    if (signal == SIGHUP) {
      reload(control);
    } else if (signal != SIGUSR1 || fatal) {
      return signal;
    }
  }
}

// Serves until SIGINT or SIGTERM arrives or the control plane gives up. A second signal ends the
// grace period.
int serve_until_asked(const config::settings& settings, const signal_waiter& signals,
                      const configuration_source& read_again) {
  const auto asked_to_end = [&signals] { return signals.asked_to_end(); };
  commands::storage store(settings, asked_to_end);
  migrate_patiently(*store.db, signals);
  metrics meters(settings.gpus.size(), http::shard_count(settings));
  auto driver = runtimes::make_runtime_driver({settings.data_dir, program_dir()});
  std::atomic<bool> fatal{false};
  control_plane control(
      settings, *driver, *store.db, meters,
      [&fatal] {
        fatal = true;
        ::kill(::getpid(), SIGUSR1);
      },
      read_again);
  published_gateway published(settings.data_dir, SIGNALBOX_VERSION);
  auto keys = configured_keys(settings);
  keys.push_back(local_key(published.key()));
  http::gateway gateway(settings, keys, control, meters, [&published](const std::string& sha256) {
    published.certificate_changed(sha256);
  });
  gateway.run();
  std::vector<std::string> urls;
  for (const auto& address : gateway.bound()) {
    urls.push_back((address.starts_with("https://") ? "" : "http://") + address);
    std::cout << "signalbox serves on " << urls.back() << std::endl;
  }
  published.publish(urls);

  const int signal = wait_for_end(control, signals, fatal);
  spdlog::info("{}: shutting down, requests in flight have up to {} s",
               fatal ? "fatal error" : strsignal(signal), settings.server.shutdown_grace_s);
  const auto grace = from_seconds(settings.server.shutdown_grace_s);
  const auto deadline = std::chrono::steady_clock::now() + grace;
  gateway.drain(grace, asked_to_end);
  await_restart(store, signals);
  if (asked_to_end()) {
    spdlog::info("second signal: not waiting any longer");
    control.shutdown(min_stop_time);
  } else {
    const duration rest = deadline - std::chrono::steady_clock::now();
    control.shutdown(std::max<duration>(rest, min_stop_time), asked_to_end);
  }
  gateway.stop();
  spdlog::info("stopped");
  return fatal ? 1 : 0;
}

// As at the start: what is only a doubt is logged.
config::settings load_for_service(const arguments& args, std::vector<std::string>& doubts) {
  return load_settings(args,
                       {{program_dir(), [&](const std::string& line) { doubts.push_back(line); }}});
}

void log_doubts(const std::vector<std::string>& doubts) {
  for (const auto& line : doubts) spdlog::warn("configuration: {}", line);
}

int serve(const arguments& args) {
  std::vector<std::string> doubts;
  const auto settings = load_for_service(args, doubts);
  const signal_waiter signals;
  set_up_log(settings);
  log_doubts(doubts);
  raise_descriptor_limit();
  fs::create_directories(settings.data_dir);
  http::require_free_addresses(settings);
  try {
    return serve_until_asked(settings, signals, [&args] {
      std::vector<std::string> found;
      auto fresh = load_for_service(args, found);
      log_doubts(found);
      return fresh;
    });
  } catch (const persistence::start_interrupted& e) {
    spdlog::info("signal: {}", e.what());
    return 0;
  }
}

int migrate(const arguments& args) {
  const auto settings = load_settings(args);
  set_up_log(settings);
  fs::create_directories(settings.data_dir);
  commands::storage store(settings);
  const auto report = persistence::migrate(*store.db);
  std::cout << "schema version " << report.version << ", " << report.applied
            << " migrations applied" << std::endl;
  return 0;
}

int check_config(const arguments& args) {
  if (args.print_schema) {
    std::cout << config::json_schema();
    return 0;
  }
  const auto warn = [](const std::string& line) { std::cerr << "warning: " << line << std::endl; };
  const auto settings = load_settings(args, {{program_dir(), {}, warn}});
  std::cout << "configuration is valid: " << settings.models.size() << " models, "
            << settings.gpus.size() << " GPUs, " << settings.keys.size() << " keys" << std::endl;
  return 0;
}

int run(int argc, char** argv) {
  CLI::App app{"Signalbox: the runtime in front of the GPUs you own.", "signalbox"};
  commands::require_subcommand(app);
  app.set_version_flag("--version", "signalbox " SIGNALBOX_VERSION);
  arguments args;
  auto add_config = [&args](CLI::App* command) {
    command->add_option("--config", args.config, "Configuration file (YAML); default: the demo");
    command->add_option("--data", args.data, "Data folder; default: ./data");
  };
  auto* serve_command = app.add_subcommand("serve", "Serve until SIGINT or SIGTERM");
  add_config(serve_command);
  serve_command->add_option("--listen", args.listen, "ADDR:PORT to listen on; may be repeated")
      ->take_all();
  auto* migrate_command = app.add_subcommand("migrate", "Bring the database schema up to date");
  add_config(migrate_command);
  auto* check_command =
      app.add_subcommand("check-config", "Read the configuration and say what is wrong");
  add_config(check_command);
  check_command->add_flag("--print-schema", args.print_schema,
                          "Print the JSON Schema of the configuration instead");
  app.add_subcommand("version", "Print the version");
  const auto load_quietly = [&args] {
    auto settings = load_settings(args);
    set_up_log(settings, spdlog::level::warn);
    return settings;
  };
  const auto run_keys = commands::add_keys(app, load_quietly);
  const auto run_users = commands::add_users(app, load_quietly);
  const auto run_usage = commands::add_usage(app, load_quietly);
  const auto data_dir = [&args] {
    return args.data.empty() ? load_settings(args).data_dir : args.data;
  };
  const auto run_reload = commands::add_reload(app, data_dir);
  const auto run_lease = commands::add_lease(app, data_dir);
  const auto run_models = commands::add_models(app, data_dir);
  for (const auto* name : {"keys", "users", "usage", "reload", "lease", "models", "start", "stop",
                           "switch", "drain", "resume", "logs"})
    add_config(app.get_subcommand(name));
  CLI11_PARSE(app, argc, argv);

  if (serve_command->parsed()) return serve(args);
  if (migrate_command->parsed()) return migrate(args);
  if (check_command->parsed()) return check_config(args);
  if (const auto status = run_keys()) return *status;
  if (const auto status = run_users()) return *status;
  if (const auto status = run_usage()) return *status;
  if (const auto status = run_reload()) return *status;
  if (const auto status = run_lease()) return *status;
  if (const auto status = run_models()) return *status;
  std::cout << "signalbox " << SIGNALBOX_VERSION << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "signalbox: " << e.what() << std::endl;
    return 1;
  }
}
