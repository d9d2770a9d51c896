#include "tests/simulation/pool_shell.hpp"

#include <algorithm>

#include "tests/simulation/gateway.hpp"

namespace signalbox::simulation {

namespace {

core::arbiter_options options_of(const setup& s, std::uint32_t epoch) {
  auto options = s.machine;
  options.token_floor = fencing_token{epoch} << 32;
  return options;
}

}  // namespace

pool_shell::pool_shell(gateway& g, std::uint32_t epoch)
    : g_(g), actor_(g.w.begin_actor()), core_(options_of(g.s, epoch)) {}

std::map<holder_id, holder_ref>::iterator pool_shell::of(actor_id actor) {
  return std::find_if(holders_.begin(), holders_.end(),
                      [=](const auto& h) { return h.second.id == actor; });
}

void pool_shell::on(const register_holder& m) {
  const auto known = of(m.actor.id);
  const auto id = known == holders_.end() ? ++last_holder_ : known->first;
  holders_.emplace(id, m.actor);
  send(g_.w, actor_, m.actor, holder_registered{id});
}

void pool_shell::on(const signalbox::acquire_lease& m) {
  if (!holders_.contains(m.request.holder)) return;
  requests_[m.request.holder] = m.request;
  finish(core_.acquire(m.request, g_.w.now()));
}

void pool_shell::on(const signalbox::withdraw_acquire& m) {
  finish(core_.withdraw(m.holder, g_.w.now()));
}

void pool_shell::on(const signalbox::release_lease& m) {
  finish(core_.release(m.holder, m.token, g_.w.now()));
}

void pool_shell::on(const demand_reported& m) {
  if (holders_.contains(m.holder)) finish(core_.demand(m.holder, m.demand, g_.w.now()));
}

void pool_shell::on(const actor_down& m) {
  const auto found = of(m.who);
  if (found == holders_.end()) return;
  const auto id = found->first;
  holders_.erase(found);
  requests_.erase(id);
  finish(core_.remove(id, g_.w.now()));
}

void pool_shell::tick() {
  timer_.fired(g_.w.now());
  finish(core_.advance(g_.w.now()));
}

void pool_shell::finish(const core::arbiter_effects& effects) {
  for (const auto& effect : effects) {
    std::visit([this](const auto& e) { carry_out(e); }, effect);
  }
  timer_.arm(g_.w, actor_, core_.next_deadline(), [this] { tick(); });
  for (std::uint32_t gpu = 0; gpu < g_.s.machine.gpu_memory.size(); ++gpu) {
    g_.w.require(core_.used_memory(gpu) <= g_.s.machine.gpu_memory[gpu],
                 "leases are not oversubscribed", gpu);
  }
}

void pool_shell::carry_out(const core::lease_grant& e) {
  g_.w.note("lease: holder, token", e.holder, e.token);
  g_.check_token(e.token);
  g_.gpus.check_granted(e.gpus, requests_.at(e.holder).need);
  send(g_.w, actor_, holders_.at(e.holder), signalbox::lease_granted{e.token, e.gpus});
}

void pool_shell::carry_out(const core::lease_refusal& e) {
  send(g_.w, actor_, holders_.at(e.holder), signalbox::lease_refused{e.why});
}

void pool_shell::carry_out(const core::ask_back& e) {
  g_.w.note("asked back: holder, for", e.holder, e.for_holder);
  g_.w.require(!requests_.at(e.holder).is_pinned, "a pinned holder is no victim", e.holder);
  ++g_.sum.swaps;
  send(g_.w, actor_, holders_.at(e.holder), lease_asked_back{e.token, e.is_switch});
}

}  // namespace signalbox::simulation
