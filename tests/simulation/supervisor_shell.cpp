#include "tests/simulation/supervisor_shell.hpp"

#include <algorithm>
#include <utility>

#include "tests/simulation/gateway.hpp"

namespace signalbox::simulation {

using namespace std::chrono_literals;

supervisor_shell::supervisor_shell(gateway& g) : g_(g), actor_(g.w.begin_actor()) {}

bool supervisor_shell::lives(actor_id actor) const {
  return actor != nobody && g_.w.is_alive(actor);
}

duration supervisor_shell::restart_delay() {
  return g_.w.chance(0.2) ? g_.w.between(100ms, 10s) : g_.w.between(100ms, 500ms);
}

void supervisor_shell::start_all() {
  queues_.resize(g_.s.models.size());
  outsiders_.resize(g_.s.outsiders);
  for (model_index m = 0; m < g_.s.models.size(); ++m) {
    for (std::uint32_t n = 0; n < g_.s.models[m].backends; ++n) {
      backends_.emplace_back().model = m;
    }
  }
  start_pool();
  for (model_index m = 0; m < queues_.size(); ++m) start_queue(m);
  for (auto& c : backends_) start_backend(c);
  for (auto& c : outsiders_) start_outsider(c);
  publish();
}

// Shards see it after all that was sent before.
void supervisor_shell::publish() {
  auto handles = published_;
  handles.clear();
  for (const auto& c : queues_) handles.push_back(c.ref);
  g_.w.send(actor_, nobody, [this, handles = std::move(handles)] { published_ = handles; });
}

void supervisor_shell::attach_shards() {
  attached_shards_ = g_.shards.size();
  for (shard_id s = 0; s < g_.shards.size(); ++s) {
    for (model_index m = 0; m < queues_.size(); ++m) {
      send(g_.w, actor_, queues_[m].ref,
           shard_attached{s, g_.shards[s]->ref(), {}, queues_[m].life}, g_.shards_of(m));
    }
  }
}

void supervisor_shell::start_pool() {
  pool_.shell = std::make_unique<pool_shell>(g_, ++last_epoch_);
  pool_.ref = pool_.shell->ref();
  pool_.alive = true;
  for (const auto& queue : queues_) send(g_.w, actor_, queue.ref, pool_.ref);
}

void supervisor_shell::start_queue(model_index m) {
  auto& c = queues_[m];
  c.shell = std::make_unique<queue_shell>(g_, m, attached_shards_, c.life);
  c.ref = c.shell->ref();
  c.alive = true;
  c.started_at = g_.w.now();
  send(g_.w, actor_, c.ref, pool_.ref);
  for (const auto& backend : backends_) {
    if (backend.model == m) send(g_.w, actor_, backend.ref, c.ref, g_.backends_of(m));
  }
}

void supervisor_shell::start_backend(backend_child& c) {
  c.id = ++last_backend_;
  c.was_killed = false;
  c.shell = std::make_unique<backend_shell>(g_, c.model, c.id, queues_[c.model].ref, pool_.ref);
  c.ref = c.shell->ref();
  c.alive = true;
  g_.w.send(actor_, c.ref.id, [shell = c.shell.get()] { shell->start(); });
}

void supervisor_shell::start_outsider(outsider_child& c) {
  c.shell = std::make_unique<outsider>(g_, pool_.ref);
  c.ref = {c.shell->actor(), c.shell.get()};
  c.alive = true;
  g_.w.send(actor_, c.ref.id, [shell = c.shell.get()] { shell->start(); });
}

// Deaths.

void supervisor_shell::tell_end(actor_id actor) {
  send(g_.w, actor, supervisor_ref{actor_, this}, actor_down{actor});
  send(g_.w, actor, pool_.ref, actor_down{actor});
}

void supervisor_shell::kill_a_queue() {
  const auto m = static_cast<model_index>(g_.w.below(queues_.size()));
  if (!lives(queues_[m].ref.id)) return;
  g_.w.note("queue dies: model", m);
  ++g_.sum.deaths;
  g_.w.end_actor(queues_[m].ref.id);
  tell_end(queues_[m].ref.id);
}

void supervisor_shell::kill_a_backend() {
  auto& c = backends_[g_.w.below(backends_.size())];
  if (!lives(c.ref.id)) return;
  ++g_.sum.deaths;
  end_backend(c);
}

// Its end is told only after its runtime is gone.
void supervisor_shell::end_backend(backend_child& c) {
  const auto actor = c.ref.id;
  g_.w.note("backend dies", c.id);
  c.was_killed = true;
  g_.w.end_actor(actor);
  g_.gpus.kill(c.id, [this, actor] { tell_end(actor); });
}

void supervisor_shell::backend_quits(actor_id actor) {
  g_.w.end_actor(actor);
  tell_end(actor);
}

void supervisor_shell::kill_backends() {
  for (auto& c : backends_) {
    if (lives(c.ref.id)) end_backend(c);
  }
  for (auto& c : outsiders_) {
    if (lives(c.ref.id)) end_outsider(c);
  }
}

void supervisor_shell::end_an_outsider() {
  if (outsiders_.empty()) return;
  auto& c = outsiders_[g_.w.below(outsiders_.size())];
  if (lives(c.ref.id)) end_outsider(c);
}

void supervisor_shell::end_outsider(outsider_child& c) {
  const auto actor = c.ref.id;
  g_.w.end_actor(actor);
  c.shell->end([this, actor] { tell_end(actor); });
}

void supervisor_shell::kill_pool() {
  if (!lives(pool_.ref.id)) return;
  g_.w.note("pool dies");
  ++g_.sum.deaths;
  g_.w.end_actor(pool_.ref.id);
  tell_end(pool_.ref.id);
}

void supervisor_shell::on(const actor_down& m) {
  if (pool_.alive && pool_.ref.id == m.who) return pool_down();
  for (model_index i = 0; i < queues_.size(); ++i) {
    if (queues_[i].alive && queues_[i].ref.id == m.who) return queue_down(i);
  }
  for (std::size_t i = 0; i < backends_.size(); ++i) {
    if (backends_[i].alive && backends_[i].ref.id == m.who) return backend_down(i);
  }
  for (std::size_t i = 0; i < outsiders_.size(); ++i) {
    if (outsiders_[i].alive && outsiders_[i].ref.id == m.who) return outsider_down(i);
  }
}

void supervisor_shell::pool_down() {
  pool_.alive = false;
  if (stopping_) return;
  g_.w.after(restart_delay(), [this] {
    if (stopping_) return;
    leases_due_ = true;
    restart_leases();
  });
  kill_backends();
}

void supervisor_shell::queue_down(model_index m) {
  queues_[m].alive = false;
  if (!stopping_) g_.w.after(restart_delay(), [this, m] { restart_queue(m); });
}

void supervisor_shell::backend_down(std::size_t number) {
  auto& c = backends_[number];
  c.alive = false;
  if (stopping_) return;
  send(g_.w, actor_, queues_[c.model].ref, backend_removed{c.id}, g_.backends_of(c.model));
  if (!pool_.alive) return restart_leases();
  g_.w.after(restart_delay(), [this, number] { restart_backend(number); });
}

void supervisor_shell::outsider_down(std::size_t number) {
  outsiders_[number].alive = false;
  if (stopping_) return;
  if (!pool_.alive) return restart_leases();
  g_.w.after(g_.w.between(0s, 60s), [this, number] { restart_outsider(number); });
}

// Restarts.

void supervisor_shell::restart_queue(model_index m) {
  if (stopping_ || queues_[m].alive) return;
  ++queues_[m].life;
  start_queue(m);
  publish();
  g_.restart_wait(m);
  for (const auto& shard : g_.shards) {
    send(g_.w, actor_, shard->ref(), std::vector<shard_event>{queue_restarted{m, queues_[m].life}},
         g_.shards_of(m));
  }
}

void supervisor_shell::restart_backend(std::size_t number) {
  auto& c = backends_[number];
  if (stopping_ || c.alive || !pool_.alive) return;
  start_backend(c);
  g_.restart_all_waits();  // others may take the memory that its death freed
}

void supervisor_shell::restart_outsider(std::size_t number) {
  auto& c = outsiders_[number];
  if (!stopping_ && !c.alive && pool_.alive) start_outsider(c);
}

void supervisor_shell::restart_leases() {
  const auto lives = [](const auto& c) { return c.alive; };
  if (!leases_due_ || std::any_of(backends_.begin(), backends_.end(), lives)) return;
  if (std::any_of(outsiders_.begin(), outsiders_.end(), lives)) return;
  leases_due_ = false;
  start_pool();
  for (auto& c : backends_) start_backend(c);
  for (auto& c : outsiders_) start_outsider(c);
  g_.restart_all_waits();
}

// Questions.

const queue_shell* supervisor_shell::living_queue(model_index m) const {
  return lives(queues_[m].ref.id) ? queues_[m].shell.get() : nullptr;
}

queue_shell* supervisor_shell::living_queue(model_index m) {
  return lives(queues_[m].ref.id) ? queues_[m].shell.get() : nullptr;
}

duration supervisor_shell::queue_lives_for(model_index m) const {
  return g_.w.now() - queues_[m].started_at;
}

bool supervisor_shell::has_killed_backend(model_index m) const {
  return std::any_of(backends_.begin(), backends_.end(),
                     [=](const backend_child& c) { return c.model == m && c.was_killed; });
}

void supervisor_shell::tell_units(model_index m) {
  for (const auto& c : backends_) {
    if (c.model == m) send(g_.w, actor_, c.ref, units_changed{c.id, g_.units(m)});
  }
}

void supervisor_shell::replace_a_backend() {
  send(g_.w, actor_, backends_[g_.w.below(backends_.size())].ref, stop_when_idle{});
}

void supervisor_shell::tell_to_stop() {
  for (const auto& c : queues_) send(g_.w, actor_, c.ref, stop_all{});
  for (const auto& c : backends_) send(g_.w, actor_, c.ref, stop_all{});
}

}  // namespace signalbox::simulation
