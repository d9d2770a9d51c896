// In the place of actors/supervisor.cpp, with several backends for a model. The lines that
// correspond there: start_all, start_gpu_lease, start_queue, start_backend, on_shard_attached,
// on_down, on_restart, restart_leases. Instead of restart_policy there is a random delay, as deaths
// are ordered here and there is no budget to spend. Outsiders end with the pool as backends do.
#pragma once

#include <memory>
#include <vector>

#include "tests/simulation/backend_shell.hpp"
#include "tests/simulation/outsider.hpp"
#include "tests/simulation/pool_shell.hpp"
#include "tests/simulation/queue_shell.hpp"

namespace signalbox::simulation {

class gateway;

class supervisor_shell {
 public:
  explicit supervisor_shell(gateway& g);

  void start_all();
  void attach_shards();
  void on(const actor_down& m);
  void stop() { stopping_ = true; }

  // Deaths, as an exception in an actor would have it.
  void kill_a_queue();
  void kill_a_backend();
  void kill_pool();
  void end_an_outsider();
  void kill_backends();  // all that live
  void backend_quits(actor_id actor);

  // As published: what a shard sends to.
  queue_ref queue(model_index m) const { return published_[m]; }
  // Null while it is dead.
  const queue_shell* living_queue(model_index m) const;
  queue_shell* living_queue(model_index m);
  duration queue_lives_for(model_index m) const;
  bool is_stopping() const { return stopping_; }
  bool lives_pool() const { return lives(pool_.ref.id); }
  const pool_shell& pool() const { return *pool_.shell; }
  template <class F>
  void for_each_living_backend(model_index m, F f) const {
    for (const auto& c : backends_) {
      if (c.model == m && lives(c.ref.id)) f(*c.shell);
    }
  }
  void tell_to_stop();
  void tell_units(model_index m);                // to its backends
  void replace_a_backend();                      // when it is idle: its options have changed
  bool has_killed_backend(model_index m) const;  // and not started anew

 private:
  template <class Shell, class Ref>
  struct child {
    std::unique_ptr<Shell> shell;
    Ref ref{};
    bool alive = false;  // as far as we have heard
    time_point started_at{};
  };
  struct backend_child : child<backend_shell, backend_ref> {
    model_index model = 0;
    backend_id id = 0;
    bool was_killed = false;
  };
  struct queue_child : child<queue_shell, queue_ref> {
    std::uint32_t life = 0;
  };
  using pool_child = child<pool_shell, pool_ref>;
  using outsider_child = child<outsider, holder_ref>;

  void publish();
  void start_pool();
  void start_queue(model_index m);
  void start_backend(backend_child& c);
  void start_outsider(outsider_child& c);
  void end_backend(backend_child& c);
  void end_outsider(outsider_child& c);
  void tell_end(actor_id actor);  // to all that watch it
  void pool_down();
  void queue_down(model_index m);
  void backend_down(std::size_t number);
  void outsider_down(std::size_t number);
  void restart_queue(model_index m);
  void restart_backend(std::size_t number);
  void restart_outsider(std::size_t number);
  void restart_leases();
  bool lives(actor_id actor) const;
  duration restart_delay();

  gateway& g_;
  const actor_id actor_;
  pool_child pool_;
  std::vector<queue_child> queues_;
  std::vector<queue_ref> published_;
  std::vector<backend_child> backends_;
  std::vector<outsider_child> outsiders_;
  std::size_t attached_shards_ = 0;
  backend_id last_backend_ = 0;
  std::uint32_t last_epoch_ = 0;
  bool leases_due_ = false;
  bool stopping_ = false;
};

}  // namespace signalbox::simulation
