// The control plane as the rest of the program sees it: the actor system, the supervisor and the
// handles of its children. Owned by main; outlives the shards.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "actors/model_table.hpp"
#include "config/settings.hpp"

namespace signalbox::persistence {
class database;
}
namespace signalbox::runtimes {
class runtime_driver;
}

namespace signalbox {

class status_board;

// Published by the supervisor, anew after every restart of a child and every change of the models.
// A model that was removed is in `models` no more, and has its queue until its last backend is
// gone.
struct control_handles {
  model_table_ptr models;
  std::map<model_index, model_queue_actor> queues;
  std::map<backend_id, model_backend_actor> backends;
  model_queue_actor queue_of(model_index model) const;  // null: the model is gone

  gpu_lease_actor leases;
  usage_ledger_actor usage;
  crash_log_actor crashes;
  key_registry_actor keys;
  login_guard_actor logins;
};
using control_handles_ptr = std::shared_ptr<const control_handles>;

// Reads and validates the configuration again. Throws config::config_error.
using configuration_source = std::function<config::settings()>;

class control_plane {
 public:
  // Spawns everything; pinned models begin to load. `on_fatal` is called once, from some thread,
  // when a child's restart budget is spent: the process should end.
  control_plane(const config::settings& settings, runtimes::runtime_driver& driver,
                persistence::database& db, metrics& m, std::function<void()> on_fatal,
                configuration_source source = {});
  ~control_plane();  // shutdown(), when it was not called

  // The current snapshot: an atomic load, for every batch of a shard.
  control_handles_ptr handles() const;

  // What is so now.
  const status_board& board() const;

  // A shard introduces itself to every queue; it hears queue_restarted when one was started anew.
  void attach_shard(shard_id shard, shard_inbox_ptr inbox);

  // The listener hears of all keys in the database, and of every change from then on; returns when
  // it has heard everything. Throws std::runtime_error when the database is away.
  void subscribe_to_keys(key_listener listener);

  // Reads the configuration again, on a thread of its own, and serves the models that it names from
  // then on. A changed model gets its new runtime when it is next idle, or `now`: then requests in
  // flight have the model's drain timeout. A removed model is no longer found; it serves the
  // requests that it has. Exactly one of the callbacks is called, on any thread; on_error gets a
  // text for the log. Reloads take turns: the call returns false, and does nothing, when
  // max_reloads wait already.
  static constexpr int max_reloads = 4;
  bool reload(bool now, std::function<void(const reload_report&)> on_done,
              std::function<void(std::string)> on_error);

  // In order: queues refuse what waits, backends drain and stop their runtimes (all bounded by
  // `grace`, or by `hurry` being true, then killed), the ledger and the crash log write what they
  // have, actors end. The database is closed with them. Blocking.
  void shutdown(duration grace, const std::function<bool()>& hurry = {});

  // Sends `message` to `target` and calls exactly one of the callbacks, from an actor's thread,
  // within `timeout`; on_error gets a text for the log.
  template <class Answer, class Target, class Message>
  void ask(const Target& target, duration timeout, Message message,
           std::function<void(Answer)> on_answer, std::function<void(std::string)> on_error);

 private:
  struct state;
  caf::actor_system& system();
  std::unique_ptr<state> state_;
};

template <class Answer, class Target, class Message>
void control_plane::ask(const Target& target, duration timeout, Message message,
                        std::function<void(Answer)> on_answer,
                        std::function<void(std::string)> on_error) {
  system().spawn([=, message = std::move(message)](caf::event_based_actor* self) {
    self->request(target, caf::timespan{timeout}, message)
        .then([on_answer](const Answer& answer) { on_answer(answer); },
              [on_error](const caf::error& e) { on_error(caf::to_string(e)); });
  });
}

}  // namespace signalbox
