// The control plane as the rest of the program sees it: the actor system, the supervisor and the
// handles of its children. Owned by main; outlives the shards.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "config/settings.hpp"

namespace signalbox::persistence {
class database;
}
namespace signalbox::runtimes {
class runtime_driver;
}

namespace signalbox {

class status_board;

// Published by the supervisor, anew after every restart of a child; indexes are model_index.
struct control_handles {
  std::vector<model_queue_actor> queues;
  std::vector<model_backend_actor> backends;
  gpu_lease_actor leases;
  usage_ledger_actor usage;
  crash_log_actor crashes;
  key_registry_actor keys;
  login_guard_actor logins;
};
using control_handles_ptr = std::shared_ptr<const control_handles>;

class control_plane {
 public:
  // Spawns everything; pinned models begin to load. `on_fatal` is called once, from some thread,
  // when a child's restart budget is spent: the process should end.
  control_plane(const config::settings& settings, runtimes::runtime_driver& driver,
                persistence::database& db, metrics& m, std::function<void()> on_fatal);
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
