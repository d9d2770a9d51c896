#include "actors/control_plane.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <semaphore>

#include "actors/shell.hpp"
#include "actors/status_board.hpp"
#include "actors/supervisor.hpp"
#include "config/load.hpp"
#include "config/model_changes.hpp"
#include "persistence/database.hpp"
#include "persistence/epoch_source.hpp"
#include "persistence/lease_file.hpp"

namespace signalbox {
namespace {

using namespace std::chrono_literals;

constexpr duration kill_timeout = 10s;   // wait for backends to end once their runtimes are killed
constexpr duration load_timeout = 30s;   // wait for all keys to be read
constexpr duration store_timeout = 10s;  // wait for all stores to write what they have
constexpr duration end_timeout = 1s;     // wait for the stores to end after that
constexpr duration hurry_look_gap = 50ms;
constexpr duration answer_timeout = 5s;  // wait for the supervisor, which does nothing slow

caf::actor_system_config make_config() {
  caf::actor_system_config cfg;
  // The default policy, stealing, polls and wastes a tenth of a core or more.
  cfg.set("scheduler.policy", caf::atom("sharing"));
  cfg.set("scheduler.max-threads", std::size_t{2});
  return cfg;
}

// Waits until `count` monitored actors have ended, `deadline` has passed or hurry() is true.
// Returns the number of actors that are left.
std::size_t await_ends(caf::scoped_actor& self, std::size_t count, time_point deadline,
                       const std::function<bool()>& hurry = {}) {
  while (count > 0 && !(hurry && hurry())) {
    const auto rest = std::min(deadline - std::chrono::steady_clock::now(), hurry_look_gap);
    if (rest <= duration::zero()) break;
    self->receive([&count](const caf::down_msg&) { --count; }, caf::after(rest) >> [] {});
  }
  return count;
}

void log(const reload_report& report) {
  if (!report.problems.empty()) {
    return spdlog::error("reload: nothing was changed:\n{}", report.problems);
  }
  spdlog::info("reload: added [{}], removed [{}], changed [{}], restarting [{}]",
               fmt::join(report.added, ", "), fmt::join(report.removed, ", "),
               fmt::join(report.changed, ", "), fmt::join(report.restarting, ", "));
  for (const auto& path : report.needs_restart) {
    spdlog::warn("reload: {} changed, and is used from the next start on", path);
  }
}

// Makes the stores write what they have, all at the same time.
void flush(caf::scoped_actor& self, const control_handles& all) {
  auto usage = self->request(all.usage, store_timeout, flush_usage{});
  self->send(all.crashes, tick{});  // writes the buffer; the answer below comes after it
  auto crashes = self->request(all.crashes, store_timeout, list_crashes{1});
  // The answer comes after all that was sent before is written.
  auto keys = self->request(all.keys, store_timeout, list_keys{1, {}});
  usage.receive(
      [](bool durable) {
        if (!durable) spdlog::error("usage is lost: the database did not take it");
      },
      [](const caf::error&) {
        spdlog::error("usage is lost: the database did not take it within {} s",
                      std::chrono::duration_cast<std::chrono::seconds>(store_timeout).count());
      });
  crashes.receive([](const crash_list&) {}, [](const caf::error&) {});
  keys.receive([](const key_answer&) {}, [](const caf::error&) {});
}

}  // namespace

struct control_plane::state {
  state(persistence::database& database, const config::settings& in_force,
        configuration_source read_again)
      : settings(in_force),
        source(std::move(read_again)),
        db(database),
        epochs(database, in_force.data_dir) {}

  reload_report reload(bool now);

  const config::settings& settings;
  configuration_source source;
  std::mutex reload_mutex;           // one reload at a time: the next one reads the file after it
  std::function<void()> first_step;  // under reload_mutex, as the next; may be empty
  models_step last_step;
  std::atomic<int> reloads{0};
  persistence::database& db;
  persistence::epoch_source epochs;  // each new lease pool asks it
  // Declared before the actor system, because actors write to these as long as that lives.
  status_board board;
  std::atomic<control_handles_ptr> published;
  std::counting_semaphore<> has_published{0};
  caf::actor_system_config config = make_config();
  caf::actor_system system{config};
  supervisor_actor supervisor;
  bool stopped = false;
};

// Only the models change while the process runs, so the new ones must be valid together with the
// other settings in force.
reload_report control_plane::state::reload(bool now) {
  const std::lock_guard lock(reload_mutex);
  if (!supervisor) throw std::runtime_error("the gateway is shutting down");
  if (first_step) first_step();
  config::settings fresh, merged = settings;
  std::vector<std::string> unapplied;
  try {
    fresh = source();
    unapplied = config::changed_options(settings, fresh);
    merged.models = fresh.models;
    config::validate(merged);
  } catch (const config::config_error& e) {
    reload_report report;
    report.problems = e.what();
    if (!unapplied.empty()) {
      report.problems +=
          fmt::format("\nThese need a restart of the gateway and count as they were: {}",
                      fmt::join(unapplied, ", "));
    }
    return report;
  }
  caf::scoped_actor self{system};
  std::optional<reload_report> report;
  self->request(supervisor, answer_timeout, change_models{merged.models, now})
      .receive([&](const reload_report& r) { report = r; }, [](const caf::error&) {});
  if (!report) throw std::runtime_error("the supervisor does not answer");
  report->needs_restart = std::move(unapplied);
  if (last_step) last_step(merged.models);
  return *report;
}

control_plane::control_plane(const config::settings& settings, runtimes::runtime_driver& driver,
                             persistence::database& db, metrics& m, std::function<void()> on_fatal,
                             configuration_source source)
    : state_(std::make_unique<state>(db, settings, std::move(source))) {
  persistence::lease_file(settings.data_dir).read();  // what is wrong with it is told at once
  supervisor_options options;
  options.settings = &settings;
  options.driver = &driver;
  options.db = &db;
  options.recorder = &m;
  options.board = &state_->board;
  options.next_epoch = [s = state_.get()] { return s->epochs.next(); };
  options.publish = [s = state_.get()](control_handles_ptr handles) {
    s->published = std::move(handles);
    s->has_published.release();
  };
  options.on_fatal = std::move(on_fatal);
  state_->supervisor = spawn_supervisor(state_->system, options);
  if (!state_->has_published.try_acquire_for(answer_timeout)) {
    caf::anon_send_exit(state_->supervisor, caf::exit_reason::kill);
    state_->supervisor = nullptr;
    throw std::runtime_error("the control plane does not start; see the log");
  }
}

control_plane::~control_plane() {
  shutdown(duration::zero());
  const std::lock_guard lock(state_->reload_mutex);
  state_->published = control_handles_ptr();  // no handle may outlive the actor system
  state_->supervisor = nullptr;
}

control_handles_ptr control_plane::handles() const {
  return state_->published;
}

const status_board& control_plane::board() const {
  return state_->board;
}

caf::actor_system& control_plane::system() {
  return state_->system;
}

model_queue_actor control_handles::queue_of(model_index model) const {
  const auto found = queues.find(model);
  return found == queues.end() ? model_queue_actor{} : found->second;
}

std::vector<model_backend_actor> control_handles::backends_of(model_index model) const {
  std::vector<model_backend_actor> found;
  for (const auto& [id, backend] : backends) {
    if (model_of.at(id) == model) found.push_back(backend);
  }
  return found;
}

void control_plane::before_reload(std::function<void()> step) {
  const std::lock_guard lock(state_->reload_mutex);
  state_->first_step = std::move(step);
}

void control_plane::after_reload(models_step step) {
  const std::lock_guard lock(state_->reload_mutex);
  state_->last_step = std::move(step);
}

bool control_plane::reload(bool now, std::function<void(const reload_report&)> on_done,
                           std::function<void(std::string)> on_error) {
  if (state_->reloads.fetch_add(1) >= max_reloads) {
    state_->reloads.fetch_sub(1);
    return false;
  }
  state_->system.spawn<caf::detached>([=, s = state_.get()](caf::blocking_actor*) {
    std::optional<reload_report> report;
    std::string problem;
    try {
      report = s->reload(now);
    } catch (const std::exception& e) {
      problem = e.what();
    }
    s->reloads.fetch_sub(1);
    if (report) {
      log(*report);
      on_done(*report);
    } else {
      spdlog::error("reload: {}", problem);
      on_error(problem);
    }
  });
  return true;
}

void control_plane::attach_shard(shard_id shard, shard_inbox_ptr inbox) {
  caf::scoped_actor self{state_->system};
  self->request(state_->supervisor, answer_timeout, shard_attached{shard, std::move(inbox), {}})
      .receive([](bool) {},
               [](const caf::error&) { throw std::runtime_error("the supervisor is gone"); });
}

void control_plane::subscribe_to_keys(key_listener listener) {
  caf::scoped_actor self{state_->system};
  bool is_complete = false;
  self->request(state_->supervisor, load_timeout, subscribe_keys{std::move(listener)})
      .receive([&is_complete](bool complete) { is_complete = complete; }, [](const caf::error&) {});
  if (!is_complete) throw std::runtime_error("the keys cannot be read from the database");
}

void control_plane::shutdown(duration grace, const std::function<bool()>& hurry) {
  if (std::exchange(state_->stopped, true)) return;
  caf::scoped_actor self{state_->system};
  const auto ignore_error = [](const caf::error&) {};
  self->request(state_->supervisor, answer_timeout, stop_all{}).receive([](bool) {}, ignore_error);

  const auto all = handles();
  for (const auto& [model, queue] : all->queues) self->send(queue, stop_all{});
  for (const auto& [id, backend] : all->backends) {
    self->monitor(backend);
    self->send(backend, stop_all{});
  }
  auto left =
      await_ends(self, all->backends.size(), std::chrono::steady_clock::now() + grace, hurry);
  if (left > 0) {
    for (const auto& [id, backend] : all->backends) {
      self->send_exit(backend, caf::exit_reason::kill);
    }
    left = await_ends(self, left, std::chrono::steady_clock::now() + kill_timeout);
    if (left > 0) spdlog::error("{} backends did not end", left);
  }

  flush(self, *all);

  for (const auto& [model, queue] : all->queues) {
    self->send_exit(queue, caf::exit_reason::user_shutdown);
  }
  self->send_exit(all->outside, caf::exit_reason::user_shutdown);
  self->send_exit(all->leases, caf::exit_reason::user_shutdown);
  self->send_exit(all->logins, caf::exit_reason::kill);  // logins may still wait
  self->send_exit(state_->supervisor, caf::exit_reason::user_shutdown);
  const auto end = [&self](const auto& store) {
    self->monitor(store);
    self->send_exit(store, caf::exit_reason::user_shutdown);
  };
  end(all->usage);
  end(all->crashes);
  end(all->keys);
  await_ends(self, 3, std::chrono::steady_clock::now() + end_timeout);
  // The actor system joins their threads, and one may wait for a server that does not answer.
  state_->db.close();
}

}  // namespace signalbox
