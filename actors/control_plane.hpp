// The control plane as the rest of the program sees it. It owns the actor system, the supervisor
// and the handles of its children. main() owns it, and it outlives the shards.
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

// The models and the handles of all actors. The supervisor publishes new ones after every restart
// of a child and every change of the models. A removed model is not in `models`, but has its queue
// until its last backend has ended.
struct control_handles {
  model_table_ptr models;
  std::map<model_index, model_queue_actor> queues;
  std::map<backend_id, model_backend_actor> backends;
  std::map<backend_id, model_index> model_of;           // of each of `backends`
  model_queue_actor queue_of(model_index model) const;  // null: the model is gone
  std::vector<model_backend_actor> backends_of(model_index model) const;

  gpu_lease_actor leases;
  outside_leases_actor outside;
  usage_ledger_actor usage;
  crash_log_actor crashes;
  key_registry_actor keys;
  login_guard_actor logins;
};
using control_handles_ptr = std::shared_ptr<const control_handles>;

// Reads and validates the configuration again. Throws config::config_error.
using configuration_source = std::function<config::settings()>;

// All actors, from their start to their end.
class control_plane {
 public:
  // Spawns all actors; pinned models begin to load. `on_fatal` is called once, from any thread,
  // when a child's restart budget is spent. The process should end then.
  control_plane(const config::settings& settings, runtimes::runtime_driver& driver,
                persistence::database& db, metrics& m, std::function<void()> on_fatal,
                configuration_source source = {});
  ~control_plane();  // calls shutdown() if that was not called

  // The current handles. It is one atomic load, which a shard does for every batch.
  control_handles_ptr handles() const;

  // The present state of models, backends, leases and GPUs.
  const status_board& board() const;

  // Introduces a shard to every queue. It hears queue_restarted when a queue was started anew.
  void attach_shard(shard_id shard, shard_inbox_ptr inbox);

  // The listener hears of all keys in the database, and then of every change. The call returns when
  // it has heard of all keys, and throws std::runtime_error if the database is away.
  void subscribe_to_keys(key_listener listener);

  // Reads the configuration again, on a thread of its own, and serves its models from then on. A
  // changed model gets its new runtime when it is idle next. With `now` it gets it at once, and
  // requests in flight have the model's drain timeout to end. A removed model takes no new
  // requests and serves those that it has.
  //
  // Exactly one of the callbacks is called, on any thread. If the configuration is not valid,
  // nothing of it is applied and the report holds all its problems; on_error gets any other
  // failure, for the log. Reloads run one after the other. While `max_reloads` run or wait, the
  // call does nothing and returns false.
  static constexpr int max_reloads = 4;
  bool reload(bool now, std::function<void(const reload_report&)> on_done,
              std::function<void(std::string)> on_error);

  // From now on each reload first calls `step`, or nothing if that is empty, on the reload's thread
  // and whether or not the configuration is valid. The call waits until no reload runs.
  void before_reload(std::function<void()> step);
  // The same after each reload that was applied, with the models that are served from then on.
  using models_step = std::function<void(const std::vector<config::model_options>&)>;
  void after_reload(models_step step);

  // Stops everything in order: queues refuse their tickets, backends drain and stop their runtimes,
  // the ledger and the crash log write what they have, and the actors end. Backends that still run
  // after `grace`, or once `hurry` returns true, are killed. It closes the database too, and
  // blocks.
  void shutdown(duration grace, const std::function<bool()>& hurry = {});

  // Sends `message` to `target` and calls exactly one of the callbacks within `timeout`, from an
  // actor's thread. on_error gets a text for the log.
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
