#include "tests/simulation/gateway.hpp"

#include <algorithm>
#include <sstream>

namespace signalbox::simulation {

namespace {

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;

using namespace std::chrono_literals;

}  // namespace

gateway::gateway(world& w, setup s) : w_(w), setup_(std::move(s)), arbiter_(setup_.machine) {
  models_.reserve(setup_.models.size());
  for (const auto& m : setup_.models) {
    models_.push_back({.setup = m,
                       .queue = core::admission(m.limits),
                       .life = core::model_lifecycle(m.life),
                       .counters = std::vector<counter>(setup_.shards)});
  }
}

void gateway::start() {
  for (std::size_t m = 0; m < models_.size(); ++m) {
    for (std::size_t s = 0; s < setup_.shards; ++s) {
      carry_out(m, models_[m].queue.attach_shard(static_cast<shard_id>(s), 0, w_.now()));
    }
    if (models_[m].setup.life.pinned) {
      to_backend(queue_of(m), m, [this](auto& life) { return life.ensure_ready(w_.now()); });
    }
  }
}

// Shard

void gateway::client_arrives(std::size_t m) {
  auto s = w_.below(setup_.shards);
  auto& c = models_[m].counters[s];
  if (c.credits > 0) {
    --c.credits;
    begin_request(s, m, models_[m].queue_incarnation);
    return;
  }
  core::ticket t{.id = (ticket_id{s} << 48) | next_id_++,
                 .shard = static_cast<shard_id>(s),
                 .work = w_.chance(0.9) ? work_class::realtime : work_class::batch,
                 .level = static_cast<priority>(w_.below(priority_count))};
  if (w_.chance(0.3)) t.deadline = w_.now() + w_.between(0ms, 20s);
  ++submitted_;
  c.waiting.insert(t.id);
  c.next.tickets.push_back(t);
  flush_later(s, m);
  if (!w_.chance(0.15)) return;
  w_.at(w_.now() + w_.between(0ms, 10s), [this, s, m, id = t.id] {
    auto& there = models_[m].counters[s];
    if (there.waiting.erase(id) == 0) return;
    w_.note("client leaves: model, ticket", m, id & 0xffffffff);
    there.next.cancelled.push_back(id);
    flush_later(s, m);
  });
}

void gateway::flush_later(std::size_t s, std::size_t m) {
  auto& c = models_[m].counters[s];
  if (std::exchange(c.flush_due, true)) return;
  w_.at(w_.now() + w_.between(0us, 200us), [this, s, m] { flush(s, m); });
}

void gateway::flush(std::size_t s, std::size_t m) {
  auto& c = models_[m].counters[s];
  c.flush_due = false;
  if (c.next.empty()) return;
  auto b = std::exchange(c.next, {});
  c.units_to_queue += b.returned;
  auto in_use = static_cast<std::uint32_t>(c.in_use.size());
  w_.send(shard_of(s), queue_of(m), [this, s, m, in_use, b = std::move(b)] {
    models_[m].counters[s].units_to_queue -= b.returned;
    batch_arrives(s, m, b, in_use);
  });
}

void gateway::begin_request(std::size_t s, std::size_t m, std::uint64_t incarnation) {
  auto id = next_id_++;
  models_[m].counters[s].in_use.emplace(id, request{m, w_.now(), incarnation});
  const auto& live = models_[m].live;
  bool reachable = live && live->incarnation == incarnation && !live->has_exited;
  auto takes = reachable ? w_.between(20ms, 2s) : w_.between(0ms, 5ms);
  w_.at(w_.now() + takes, [this, s, m, id] { end_request(s, m, id); });
}

void gateway::end_request(std::size_t s, std::size_t m, std::uint64_t id) {
  auto& c = models_[m].counters[s];
  auto found = c.in_use.find(id);
  if (found == c.in_use.end()) return;  // its runtime died
  ++c.next.ended;
  c.next.service += w_.now() - found->second.since;
  c.in_use.erase(found);
  if (c.stocked) {
    ++c.credits;
  } else {
    ++c.next.returned;
  }
  flush_later(s, m);
}

void gateway::permit_arrives(std::size_t s, std::size_t m, ticket_id id,
                             std::uint64_t incarnation) {
  auto& c = models_[m].counters[s];
  --c.units_to_shard;
  if (c.waiting.erase(id) > 0) {
    begin_request(s, m, incarnation);
  } else {
    ++c.next.returned;  // the client left while the grant was on its way
    flush_later(s, m);
  }
}

// Queue

void gateway::batch_arrives(std::size_t s, std::size_t m, const batch& b, std::uint32_t in_use) {
  auto& q = models_[m].queue;
  auto shard = static_cast<shard_id>(s);
  if (b.returned > 0) carry_out(m, q.give_back(shard, b.returned, w_.now()));
  q.report(shard, in_use, b.ended, b.service, w_.now());
  for (auto id : b.cancelled) {
    bool waits = q.place(id, w_.now()).has_value();
    carry_out(m, q.cancel(id, w_.now()));
    if (waits) end_ticket(m, id, false);
  }
  for (const auto& t : b.tickets) {
    if (models_[m].waiting.empty()) models_[m].hungry_since = w_.now();
    models_[m].waiting.emplace(t.id, waiting_ticket{w_.now(), t.deadline});
    carry_out(m, q.submit(t, w_.now()));
    if (q.place(t.id, w_.now())) {
      w_.require(q.submit(t, w_.now()).empty(), "a ticket that waits is known", m);
    }
    if (w_.now() < models_[m].refusing_until) {
      carry_out(m, q.refuse_all(models_[m].refusing_why, 1s, w_.now()));
    }
  }
  if (!b.tickets.empty() && !q.is_open() && q.waiting() > 0) {
    w_.send(queue_of(m), backend_of(m),
            [this, m] { carry_out(m, models_[m].life.ensure_ready(w_.now())); });
  }
  after_queue_event(m);
}

void gateway::end_ticket(std::size_t m, ticket_id id, bool is_served) {
  auto& waiting = models_[m].waiting;
  auto found = waiting.find(id);
  w_.require(found != waiting.end(), "a ticket ends exactly once", m, id & 0xffffffff);
  w_.require(w_.now() >= found->second.since, "no ticket ends before it came");
  w_.require(!is_served || w_.now() < found->second.deadline, "no grant past the deadline", m);
  waiting.erase(found);
  if (is_served) models_[m].hungry_since = w_.now();
  ++ended_;
}

void gateway::carry_out(std::size_t m, const core::admission_effects& effects) {
  auto& q = models_[m];
  for (const auto& effect : effects) {
    std::visit(
        overloaded{[&](const core::grant_permit& g) {
                     w_.require(q.queue.is_open(), "nothing is granted while closed", m);
                     w_.note("grant: model, ticket", m, g.id & 0xffffffff);
                     end_ticket(m, g.id, true);
                     ++granted_;
                     ++q.counters[g.shard].units_to_shard;
                     w_.send(queue_of(m), shard_of(g.shard), [this, m, g, i = q.queue_incarnation] {
                       permit_arrives(g.shard, m, g.id, i);
                     });
                   },
                   [&](const core::refuse_ticket& r) {
                     w_.note("refuse: model, why", m, static_cast<long>(r.why));
                     end_ticket(m, r.id, false);
                     if (r.why == refusal::model_failed) q.hungry_since = w_.now();
                     ++refused_;
                     w_.send(queue_of(m), shard_of(r.shard),
                             [this, m, r] { models_[m].counters[r.shard].waiting.erase(r.id); });
                   },
                   [&](const core::give_credits& g) {
                     w_.require(q.queue.is_open() && q.queue.waiting() == 0,
                                "credits only while open and nobody waits", m);
                     w_.note("credits: model, count", m, g.count);
                     q.counters[g.shard].units_to_shard += g.count;
                     w_.send(queue_of(m), shard_of(g.shard), [this, m, g] {
                       auto& c = models_[m].counters[g.shard];
                       c.units_to_shard -= g.count;
                       c.credits += g.count;
                       c.stocked = true;
                     });
                   },
                   [&](const core::recall_credits& r) {
                     w_.note("recall: model, shard", m, r.shard);
                     w_.send(queue_of(m), shard_of(r.shard), [this, m, r] {
                       auto& c = models_[m].counters[r.shard];
                       c.stocked = false;
                       c.next.returned += std::exchange(c.credits, 0);
                       flush_later(r.shard, m);
                     });
                   },
                   [&](const core::drained&) {
                     w_.require(q.queue.held() == 0, "drained only when nothing is out", m);
                     to_backend(queue_of(m), m,
                                [this](auto& life) { return life.queue_drained(w_.now()); });
                   }},
        effect);
  }
}

// What the queue actor does after each of its events: tell others what changed, arm its timer.
void gateway::after_queue_event(std::size_t m) {
  auto& q = models_[m];
  bool waiting = q.queue.waiting() > 0;
  if (waiting != q.told_waiting) {
    q.told_waiting = waiting;
    to_backend(queue_of(m), m, [this, active = q.queue.last_active(), waiting](auto& life) {
      return life.activity(active, waiting, w_.now());
    });
  }
  report_demand(m);
  if (auto next = q.queue.next_deadline(); next != never && next != q.queue_timer) {
    q.queue_timer = next;
    w_.at(next, [this, m, next] {
      if (models_[m].queue_timer != next) return;
      models_[m].queue_timer = never;
      carry_out(m, models_[m].queue.advance(w_.now()));
      after_queue_event(m);
    });
  }
}

void gateway::report_demand(std::size_t m) {
  auto& q = models_[m];
  if (!q.setup.life.needs_lease) return;
  if (q.told_demand_waiting == q.queue.waiting() && q.told_demand_in_use == q.queue.in_use()) {
    return;
  }
  q.told_demand_waiting = q.queue.waiting();
  q.told_demand_in_use = q.queue.in_use();
  core::holder_demand d{.waiting = q.queue.waiting(),
                        .in_use = q.queue.in_use(),
                        .oldest_wait_since = q.queue.oldest_wait_since(),
                        .last_active = q.queue.last_active(),
                        .arrivals_per_s = 0.1,
                        .expected_load = q.life.load_estimate()};
  w_.send(queue_of(m), arbiter, [this, m, d] {
    carry_out(arbiter_.demand(static_cast<core::holder_id>(m), d, w_.now()));
  });
}

void gateway::close_queue(std::size_t m, bool only_if_idle) {
  auto& q = models_[m].queue;
  if (only_if_idle && (q.waiting() > 0 || q.in_use() > 0)) {
    to_backend(queue_of(m), m, [this](auto& life) { return life.queue_not_idle(w_.now()); });
    return;
  }
  carry_out(m, q.close(w_.now()));
  if (q.waiting() > 0) {
    to_backend(queue_of(m), m, [this](auto& life) { return life.ensure_ready(w_.now()); });
  }
  after_queue_event(m);
}

void gateway::refuse_waiting(std::size_t m, const core::refuse_waiting& r) {
  auto& q = models_[m];
  q.refusing_until = w_.now() + r.retry_after;
  q.refusing_why = r.why;
  carry_out(m, q.queue.refuse_all(r.why, r.retry_after, w_.now()));
  after_queue_event(m);
}

// Backend

void gateway::to_backend(actor_id from, std::size_t m,
                         std::function<core::lifecycle_effects(core::model_lifecycle&)> event) {
  w_.send(from, backend_of(m),
          [this, m, event = std::move(event)] { carry_out(m, event(models_[m].life)); });
}

void gateway::carry_out(std::size_t m, const core::lifecycle_effects& effects) {
  auto holder = static_cast<core::holder_id>(m);
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

// Arbiter

void gateway::carry_out(const core::arbiter_effects& effects) {
  for (const auto& effect : effects) {
    std::visit(overloaded{[&](const core::lease_grant& g) {
                            w_.require(g.token > last_token_, "tokens grow", g.token);
                            last_token_ = g.token;
                            w_.note("lease: model, token", g.holder, g.token);
                            to_backend(arbiter, g.holder, [this, g](auto& life) {
                              return life.lease_granted(g.token, g.gpu, w_.now());
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
                            w_.require(victim.policy != core::residency_policy::pinned,
                                       "a pinned model is no victim", a.holder);
                            to_backend(arbiter, a.holder, [this, a](auto& life) {
                              return life.yield(a.token, a.how, w_.now());
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

// Runtime

void gateway::start_runtime(std::size_t m, const core::start_runtime& s) {
  auto& model = models_[m];
  w_.require(!model.live, "at most one live run for each backend", m);
  w_.note("start: model, incarnation", m, s.incarnation);
  model.live = run{.incarnation = s.incarnation, .gpu = s.gpu};
  if (w_.chance(model.setup.load_hangs)) return;
  auto when = w_.now() + w_.between(model.setup.load_time / 2, model.setup.load_time * 2);
  bool fails = w_.chance(model.setup.load_fails);
  w_.at(when, [this, m, fails, i = s.incarnation] {
    auto& live = models_[m].live;
    if (!live || live->incarnation != i || live->has_exited || live->is_stopping) return;
    if (fails) return runtime_exits(m, i, core::exit_reason::start_failed);
    live->is_ready = true;
    w_.note("ready: model, incarnation", m, i);
    to_backend(runtime_of(m), m, [this, i](auto& life) { return life.runtime_ready(i, w_.now()); });
    if (!w_.chance(models_[m].setup.crashes)) return;
    w_.at(w_.now() + w_.between(0s, 20s),
          [this, m, i] { runtime_exits(m, i, core::exit_reason::crashed); });
  });
}

void gateway::stop_runtime(std::size_t m, duration grace, std::uint64_t incarnation) {
  auto& live = models_[m].live;
  if (!live || live->incarnation != incarnation || live->has_exited) return;
  live->is_stopping = true;
  auto takes = w_.chance(0.1) ? grace : w_.between(0ms, std::max<duration>(1ms, grace / 4));
  w_.at(w_.now() + std::min(takes, grace), [this, m, incarnation] {
    runtime_exits(m, incarnation, core::exit_reason::crashed);  // the core knows that it was asked
  });
}

void gateway::runtime_exits(std::size_t m, std::uint64_t incarnation, core::exit_reason why) {
  auto& live = models_[m].live;
  if (!live || live->incarnation != incarnation || live->has_exited) return;
  live->has_exited = true;
  w_.note("gone: model, incarnation", m, incarnation);
  to_backend(runtime_of(m), m, [this, incarnation, why](auto& life) {
    return life.runtime_exited(incarnation, why, w_.now());
  });
  for (std::size_t s = 0; s < setup_.shards; ++s) {
    for (const auto& [id, r] : models_[m].counters[s].in_use) {
      if (r.incarnation != incarnation) continue;
      w_.at(w_.now() + w_.between(0ms, 5ms), [this, s, m, id = id] { end_request(s, m, id); });
    }
  }
  w_.at(w_.now() + w_.between(1ms, 200ms), [this, m, incarnation] {
    models_[m].live.reset();
    to_backend(runtime_of(m), m, [this, incarnation](auto& life) {
      return life.runtime_released(incarnation, w_.now());
    });
  });
}

void gateway::crash_something() {
  auto m = w_.below(models_.size());
  if (models_[m].live) {
    runtime_exits(m, models_[m].live->incarnation, core::exit_reason::segfault);
  }
}

// Rules

void gateway::check() {
  for (std::size_t m = 0; m < models_.size(); ++m) {
    check_units(m);
    check_waiting(m);
  }
  check_machine();
}

void gateway::check_units(std::size_t m) {
  const auto& model = models_[m];
  std::uint32_t out = 0, in_use = 0;
  std::map<std::uint64_t, std::uint32_t> in_flight;
  bool is_quiet = true;
  for (std::size_t s = 0; s < setup_.shards; ++s) {
    const auto& c = model.counters[s];
    out += c.credits + c.next.returned + c.units_to_queue + c.units_to_shard;
    in_use += static_cast<std::uint32_t>(c.in_use.size());
    for (const auto& [id, r] : c.in_use) ++in_flight[r.incarnation];
    is_quiet =
        is_quiet && c.next.empty() && !c.flush_due && w_.in_transit(shard_of(s), queue_of(m)) == 0;
  }
  auto most = model.setup.limits.max_concurrent;
  w_.require(model.queue.held() == out + in_use, "units are conserved", model.queue.held(),
             out + in_use);
  w_.require(model.queue.held() <= most, "never more units than there are", m);
  for (const auto& [incarnation, count] : in_flight) {
    w_.require(count <= most, "never more in flight than max_concurrent", m, count);
  }
  w_.require(!is_quiet || !model.queue.is_open() || model.queue.waiting() == 0 || in_use == most,
             "nobody waits while units are idle", m, in_use);
}

void gateway::check_waiting(std::size_t m) {
  const auto& model = models_[m];
  w_.require(model.queue.waiting() == model.waiting.size(), "the queue forgets no ticket", m);
  auto first = never;
  for (const auto& [id, t] : model.waiting) {
    first = std::min(first, t.deadline);
    w_.require(t.deadline > w_.now() || model.queue_timer <= w_.now(),
               "nothing waits past its deadline", m);
  }
  w_.require(model.waiting.empty() || w_.now() - model.hungry_since <= setup_.longest_wait,
             "no model starves", m);
  w_.require(model.queue.next_deadline() <= first, "a deadline is never announced late", m);
}

void gateway::check_machine() {
  std::vector<std::uint64_t> used(setup_.machine.gpu_memory.size());
  std::size_t holders = 0, alone = 0;
  for (const auto& model : models_) {
    if (!model.live || !model.setup.life.needs_lease) continue;
    used[model.live->gpu] += model.setup.lease.memory;
    ++holders;
    alone += model.setup.lease.policy == core::residency_policy::exclusive;
  }
  for (std::size_t gpu = 0; gpu < used.size(); ++gpu) {
    w_.require(used[gpu] <= setup_.machine.gpu_memory[gpu], "memory is not oversubscribed", gpu);
    w_.require(
        arbiter_.used_memory(static_cast<std::uint32_t>(gpu)) <= setup_.machine.gpu_memory[gpu],
        "leases are not oversubscribed", gpu);
  }
  w_.require(alone == 0 || holders == 1, "an exclusive model is alone", holders);
}

bool gateway::everything_ended() const {
  return std::all_of(models_.begin(), models_.end(), [](const served_model& m) {
    return std::all_of(m.counters.begin(), m.counters.end(), [](const counter& c) {
      return c.waiting.empty() && c.in_use.empty() && c.next.empty();
    });
  });
}

std::string gateway::describe() const {
  std::ostringstream text;
  for (std::size_t m = 0; m < models_.size(); ++m) {
    const auto& model = models_[m];
    text << "  model " << m << ": " << core::to_string(model.life.state())
         << (model.queue.is_open() ? ", open" : ", closed") << ", waiting " << model.queue.waiting()
         << ", held " << model.queue.held() << ", lease " << model.life.token() << ", failures "
         << model.life.failures() << '\n';
    for (const auto& c : model.counters) {
      text << "    shard: credits " << c.credits << ", in use " << c.in_use.size() << ", waiting "
           << c.waiting.size() << (c.stocked ? ", stocked" : ", recalled") << '\n';
    }
  }
  return text.str();
}

void gateway::stop_all() {
  for (std::size_t m = 0; m < models_.size(); ++m) {
    carry_out(m, models_[m].life.stop(w_.now()));
  }
}

void gateway::check_all_released() {
  w_.require(submitted_ == ended_, "every ticket ended", submitted_, ended_);
  w_.require(arbiter_.leases().empty() && arbiter_.pending() == 0, "no lease is left");
  for (const auto& m : models_) {
    w_.require(m.life.state() == core::lifecycle_state::stopped, "stopped in the end",
               static_cast<long>(m.life.state()));
    w_.require(!m.live && m.queue.held() == 0 && m.queue.waiting() == 0, "nothing is left");
  }
}

}  // namespace signalbox::simulation
