// The actors around model_lifecycle, one for each model, and around lease_arbiter.
#include "tests/simulation/gateway.hpp"

namespace signalbox::simulation {

void gateway::to_backend(actor_id from, std::size_t m,
                         std::function<core::lifecycle_effects(core::model_lifecycle&)> event) {
  w_.send(from, backend_of(m),
          [this, m, event = std::move(event)] { carry_out(m, event(models_[m].life)); });
}

void gateway::carry_out(std::size_t m, const core::lifecycle_effects& effects) {
  auto holder = static_cast<holder_id>(m);
  auto to_queue = [&](std::function<void()> f) { w_.send(backend_of(m), queue_of(m), f); };
  for (const auto& effect : effects) {
    std::visit(
        overloaded{
            [&](const core::acquire_lease&) {
              w_.send(backend_of(m), arbiter,
                      [this, m] { carry_out(arbiter_.acquire(models_[m].setup.lease, w_.now())); });
            },
            [&](const core::withdraw_acquire&) {
              w_.send(backend_of(m), arbiter,
                      [this, holder] { carry_out(arbiter_.withdraw(holder, w_.now())); });
            },
            [&](const core::release_lease& r) {
              w_.send(backend_of(m), arbiter, [this, holder, r] {
                carry_out(arbiter_.release(holder, r.token, w_.now()));
              });
            },
            [&](const core::start_runtime& s) { start_runtime(m, s); },
            [&](const core::stop_runtime& s) {
              stop_runtime(m, s.grace, models_[m].life.incarnation());
            },
            [&](const core::open_queue&) {
              to_queue([this, m, i = models_[m].life.incarnation()] {
                models_[m].queue_incarnation = i;
                models_[m].is_closing = false;
                models_[m].refusing_until = w_.now();
                carry_out(m, models_[m].queue.open(w_.now()));
                after_queue_event(m);
              });
            },
            [&](const core::close_queue&) { to_queue([this, m] { close_queue(m, false); }); },
            [&](const core::close_queue_if_idle&) {
              to_queue([this, m] { close_queue(m, true); });
            },
            [&](const core::refuse_waiting& r) {
              to_queue([this, m, r] { refuse_waiting(m, r); });
            },
            [&](const core::record_exit& r) {
              w_.note("exit: model, reason", m, static_cast<long>(r.reason));
            },
            [&](const core::loaded&) { ++loads_; }},
        effect);
  }
  arm_backend(m);
}

void gateway::arm_backend(std::size_t m) {
  auto next = models_[m].life.next_deadline();
  if (next == never || next == models_[m].life_timer) return;
  models_[m].life_timer = next;
  w_.at(next, [this, m, next] {
    if (models_[m].life_timer != next) return;
    models_[m].life_timer = never;
    carry_out(m, models_[m].life.advance(w_.now()));
  });
}

void gateway::carry_out(const core::arbiter_effects& effects) {
  for (const auto& effect : effects) {
    std::visit(overloaded{[&](const core::lease_grant& g) {
                            w_.require(g.token > last_token_, "tokens grow", g.token);
                            last_token_ = g.token;
                            w_.note("lease: model, token", g.holder, g.token);
                            to_backend(arbiter, g.holder, [this, g](auto& life) {
                              return life.lease_granted(g.token, g.gpus, w_.now());
                            });
                          },
                          [&](const core::lease_refusal& r) {
                            to_backend(arbiter, r.holder, [this, r](auto& life) {
                              return life.lease_refused(r.why, w_.now());
                            });
                          },
                          [&](const core::ask_back& a) {
                            w_.note("asked back: model, for", a.holder, a.for_holder);
                            const auto& victim = models_[a.holder].setup.lease;
                            w_.require(!victim.is_pinned, "a pinned model is no victim", a.holder);
                            to_backend(arbiter, a.holder, [this, a](auto& life) {
                              return life.yield(a.token, w_.now());
                            });
                          }},
               effect);
  }
  arm_arbiter();
}

void gateway::arm_arbiter() {
  auto next = arbiter_.next_deadline();
  if (next == never || next == arbiter_timer_) return;
  arbiter_timer_ = next;
  w_.at(next, [this, next] {
    if (arbiter_timer_ != next) return;
    arbiter_timer_ = never;
    carry_out(arbiter_.advance(w_.now()));
  });
}

}  // namespace signalbox::simulation
