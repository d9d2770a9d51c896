// The actor around admission: one for each model.
#include "tests/simulation/gateway.hpp"

#include <algorithm>
#include <utility>

namespace signalbox::simulation {

using namespace std::chrono_literals;

// In the order that shard_batch asks for.
void gateway::take(std::size_t m, const batch_of_one& b) {
  auto& q = models_[m].queue;
  const auto now = w_.now();
  for (const auto id : b.cancelled) carry_out(m, q.cancel(id, now));
  for (const auto& served : b.served) q.count_service(served, now);
  if (b.units_returned > 0) carry_out(m, q.give_back(b.shard, b.units_returned, now));
  q.report(b.shard, b.in_use, b.settled.total(), b.settled.service, now);
  for (const auto& t : b.tickets) {
    const bool left = std::find(b.cancelled.begin(), b.cancelled.end(), t.id) != b.cancelled.end();
    if (!left) carry_out(m, q.submit(t, now));
  }
}

void gateway::batch_arrives(std::size_t m, const batch_of_one& b) {
  auto& q = models_[m].queue;
  auto& waiting = models_[m].waiting;
  if (waiting.empty() && !b.tickets.empty()) models_[m].hungry_since = w_.now();
  for (const auto& t : b.tickets) {
    waiting.emplace(t.id, waiting_ticket{w_.now(), t.deadline, t.principal});
  }
  for (const auto& served : b.served) corrected_ += served.corrected;
  for (auto id : b.cancelled) {
    if (waiting.contains(id)) end_ticket(m, id, false);
  }
  take(m, b);
  for (const auto& t : b.tickets) {
    if (q.place(t.id, w_.now())) {
      w_.require(q.submit(t, w_.now()).empty(), "a ticket that waits is known", m);
    }
  }
  if (!b.tickets.empty() && w_.now() < models_[m].refusing_until) {
    carry_out(m, q.refuse_all(models_[m].refusing_why, 1s, w_.now()));
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
  const auto last = std::max(found->second.deadline, found->second.since + recall_limit);
  w_.require(!is_served || w_.now() < last, "no grant past the deadline", m);
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
                     charged_ += g.charge.cost;
                     ++q.counters[g.shard].units_to_shard;
                     w_.send(queue_of(m), shard_of(g.shard), [this, m, g, i = q.queue_incarnation] {
                       permit_arrives(g.shard, m, g, i);
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
                       c.next.units_returned += std::exchange(c.credits, 0);
                       flush_later(r.shard, m);
                     });
                   },
                   [](const core::preempt_permits&) {}},
        effect);
  }
}

// What the queue actor does after each of its events: tell others what changed, arm its timer.
void gateway::after_queue_event(std::size_t m) {
  auto& q = models_[m];
  if (q.is_closing && q.queue.held() == 0) {
    q.is_closing = false;
    to_backend(queue_of(m), m, [this](auto& life) { return life.queue_drained(w_.now()); });
  }
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
  core::holder_demand d{.arrivals_per_s = 0.1, .expected_load = q.life.load_estimate()};
  d.of(work_class::realtime) = {.waiting = q.queue.waiting(),
                                .in_use = q.queue.in_use(),
                                .oldest_wait_since = q.queue.oldest_wait_since(),
                                .last_active = q.queue.last_active()};
  w_.send(queue_of(m), arbiter,
          [this, m, d] { carry_out(arbiter_.demand(static_cast<holder_id>(m), d, w_.now())); });
}

void gateway::close_queue(std::size_t m, bool only_if_idle) {
  auto& q = models_[m].queue;
  if (only_if_idle && (q.waiting() > 0 || q.in_use() > 0)) {
    to_backend(queue_of(m), m, [this](auto& life) { return life.queue_not_idle(w_.now()); });
    return;
  }
  carry_out(m, q.close(w_.now()));
  models_[m].is_closing = true;
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

}  // namespace signalbox::simulation
