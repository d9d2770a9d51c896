#include "tests/simulation/queue_shell.hpp"

#include <utility>

#include "tests/simulation/backend_shell.hpp"
#include "tests/simulation/gateway.hpp"
#include "tests/simulation/pool_shell.hpp"

namespace signalbox::simulation {

namespace {

core::model_queue_options options_of(const model_setup& m, std::size_t shards) {
  auto options = m.queue;
  options.shards = shards;
  return options;
}

}  // namespace

queue_shell::queue_shell(gateway& g, model_index model, std::size_t shards, std::uint32_t life)
    : g_(g),
      actor_(g.w.begin_actor()),
      model_(model),
      life_(life),
      core_(options_of(g.s.models[model], shards)),
      rules_(g.w, g.s, g.s.models[model], core_) {}

time_point queue_shell::now() const {
  return g_.w.now();
}

void queue_shell::on(const backend_added& m) {
  backends_[m.backend].actor = m.actor;
  rules_.added(m.backend);
  carry_out(core_.add_backend(m.backend, now()));
}

void queue_shell::on(const signalbox::open_queue& m) {
  rules_.refuses(m.endpoint->backend, {});
  rules_.has_units(m.endpoint->backend, m.units);
  backends_[m.endpoint->backend].endpoint = m.endpoint;
  carry_out(core_.open(m.endpoint->backend, m.units, m.endpoint->incarnation, now()));
}

void queue_shell::on(const signalbox::close_queue& m) {
  carry_out(core_.close(m.backend, m.closing, m.only_if_idle, now()));
}

void queue_shell::on(const signalbox::refuse_waiting& m) {
  const auto retry_after = from_seconds(m.retry_after_s);
  rules_.refuses(m.backend, m.until_ready ? never : now() + retry_after);
  carry_out(core_.refuse_waiting(m.backend, m.why, retry_after, m.detail, now(), m.until_ready));
}

void queue_shell::on(const load_estimated& m) {
  carry_out(core_.set_load(m.backend, m.expected_load, m.ready_at, now()));
}

void queue_shell::on(const holder_known& m) {
  carry_out(core_.set_holder(m.backend, m.holder, now()));
}

void queue_shell::on(const preempt_class& m) {
  carry_out(core_.preempt(m.work, now()));
}

void queue_shell::on(const units_changed& m) {
  rules_.has_units(m.backend, m.units);
  carry_out(core_.set_units(m.backend, m.units, now()));
}

void queue_shell::on(const backend_removed& m) {
  rules_.removed(m.backend);
  carry_out(core_.remove_backend(m.backend, now()));
  backends_.erase(m.backend);
}

void queue_shell::on(const pool_ref& m) {
  leases_ = m;
  carry_out(core_.forget_holders(now()));
}

void queue_shell::on(const shard_attached& m) {
  if (m.life != life_) return;
  shards_[m.shard] = m.inbox;
  rules_.attached(m.shard, m.in_use);
  carry_out(core_.attach_shard(m.shard, m.in_use, now()));
}

void queue_shell::on(const shard_batch& m) {
  rules_.heard(m);
  carry_out(core_.take(m, now()));
}

void queue_shell::on(const stop_all&) {
  rules_.stopped();
  carry_out(core_.stop(now()));
}

void queue_shell::tick() {
  timer_.fired(now());
  carry_out(core_.advance(now()));
}

void queue_shell::carry_out(const core::queue_effects& effects) {
  if (rules_.decided(effects)) g_.restart_wait(model_);
  for (const auto& effect : effects) {
    std::visit([this](const auto& e) { apply(e); }, effect);
  }
  for (auto& [shard, events] : outbox_) {
    const auto found = shards_.find(shard);
    if (found == shards_.end() || events.empty()) continue;
    send(g_.w, actor_, found->second, std::move(events), g_.shards_of(model_));
  }
  outbox_.clear();
  timer_.arm(g_.w, actor_, core_.next_deadline(), [this] { tick(); });
  rules_.check();
  g_.touch(model_);
}

void queue_shell::apply(const core::grant_permit& e) {
  g_.w.note("grant: backend, ticket", e.backend, e.id);
  outbox_[e.shard].emplace_back(
      permit_granted{model_, e.id, backends_[e.backend].endpoint, e.charge, e.place});
}

void queue_shell::apply(const core::refuse_ticket& e) {
  g_.w.note("refuse: ticket, why", e.id, static_cast<std::uint64_t>(e.why));
  outbox_[e.shard].emplace_back(
      ticket_refused{model_, e.id, e.why, to_seconds(e.retry_after), core_.detail_of(e.why)});
}

void queue_shell::apply(const core::give_credits& e) {
  g_.w.note("credits: backend, units", e.backend, e.count);
  outbox_[e.shard].emplace_back(credits_given{model_, e.count, backends_[e.backend].endpoint});
}

void queue_shell::apply(const core::recall_credits& e) {
  g_.w.note("recall: backend, shard", e.backend, e.shard);
  outbox_[e.shard].emplace_back(credits_recalled{model_, e.backend});
}

void queue_shell::apply(const core::preempt_permits& e) {
  outbox_[e.shard].emplace_back(class_preempted{model_, e.work});
}

// The answer to a question of curiosity may be lost.
void queue_shell::apply(const core::tell_place& e) {
  if (g_.w.chance(0.3)) return;
  outbox_[e.shard].emplace_back(ticket_placed{model_, e.id, e.position, to_seconds(e.eta)});
}

void queue_shell::apply(const core::ensure_backend& e) {
  send(g_.w, actor_, backends_[e.backend].actor, ensure_ready{}, g_.backends_of(model_));
}

void queue_shell::apply(const core::tell_drained& e) {
  g_.w.note("drained: backend, closing", e.backend, e.closing);
  send(g_.w, actor_, backends_[e.backend].actor, queue_drained{e.closing}, g_.backends_of(model_));
}

void queue_shell::apply(const core::tell_not_idle& e) {
  send(g_.w, actor_, backends_[e.backend].actor, queue_not_idle{e.closing}, g_.backends_of(model_));
}

void queue_shell::apply(const core::tell_activity& e) {
  send(g_.w, actor_, backends_[e.backend].actor, queue_activity{e.last_active, e.waiting},
       g_.backends_of(model_));
}

void queue_shell::apply(const core::tell_signs& e) {
  g_.w.note("signs: backend, run", e.backend, e.signs.run);
  send(g_.w, actor_, backends_[e.backend].actor, e.signs, g_.backends_of(model_));
}

void queue_shell::apply(const core::tell_keep_loaded& e) {
  send(g_.w, actor_, backends_[e.backend].actor, keep_loaded{e.idle}, g_.backends_of(model_));
}

void queue_shell::apply(const core::tell_demand& e) {
  send(g_.w, actor_, leases_, demand_reported{e.holder, e.demand});
}

}  // namespace signalbox::simulation
