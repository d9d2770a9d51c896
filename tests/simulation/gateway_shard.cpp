// A shard of the gateway, with its clients.
#include "tests/simulation/gateway.hpp"

#include <algorithm>
#include <utility>

namespace signalbox::simulation {

using namespace std::chrono_literals;

void gateway::client_arrives(std::size_t m) {
  auto s = w_.below(setup_.shards);
  auto& c = models_[m].counters[s];
  core::ticket t{.id = (ticket_id{s} << 48) | next_id_++, .shard = static_cast<shard_id>(s)};
  if (!setup_.same_urgency) {
    t.work = w_.chance(0.9) ? work_class::realtime : work_class::batch;
    t.level = static_cast<priority>(w_.below(priority_count));
  }
  t.principal = static_cast<std::uint32_t>(std::min(w_.below(principals), w_.below(principals)));
  t.weight = weight_of(t.principal);
  t.estimate = static_cast<double>(w_.below(static_cast<std::uint64_t>(longest_request)));
  if (c.credits > 0) {
    --c.credits;
    const core::service_charge charge{t.principal, t.work, t.weight, t.estimate};
    c.next.served.push_back({.principal = t.principal,
                             .work = t.work,
                             .weight = t.weight,
                             .begun = 1,
                             .charged = charge.cost});
    charged_ += charge.cost;
    begin_request(s, m, models_[m].queue_incarnation, charge);
    return;
  }
  if (w_.chance(0.3)) t.deadline = w_.now() + (w_.chance(0.2) ? 0ms : w_.between(0ms, 20s));
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
  if (is_empty(c.next)) return;
  auto b = std::exchange(c.next, {});
  b.shard = static_cast<shard_id>(s);
  b.in_use = static_cast<std::uint32_t>(c.in_use.size());
  c.units_to_queue += b.units_returned;
  w_.send(shard_of(s), queue_of(m), [this, s, m, b = std::move(b)] {
    models_[m].counters[s].units_to_queue -= b.units_returned;
    batch_arrives(m, b);
  });
}

void gateway::begin_request(std::size_t s, std::size_t m, std::uint64_t incarnation,
                            const core::service_charge& charge) {
  auto id = next_id_++;
  const auto half = static_cast<std::uint64_t>(longest_request) / 2;
  const auto cost = core::token_weights{}.cost(static_cast<double>(w_.below(half)),
                                               static_cast<double>(w_.below(half)));
  models_[m].counters[s].in_use.emplace(id, request{m, w_.now(), incarnation, charge, cost});
  const auto& live = models_[m].live;
  bool reachable = live && live->incarnation == incarnation && !live->has_exited;
  auto takes = reachable ? w_.between(20ms, 2s) : w_.between(0ms, 5ms);
  w_.at(w_.now() + takes, [this, s, m, id] { end_request(s, m, id); });
}

void gateway::end_request(std::size_t s, std::size_t m, std::uint64_t id) {
  auto& c = models_[m].counters[s];
  auto found = c.in_use.find(id);
  if (found == c.in_use.end()) return;  // its runtime died
  ++c.next.settled.completed;
  c.next.settled.service += w_.now() - found->second.since;
  const auto& r = found->second;
  settle_charge(c, r.charge, r.cost);
  models_[m].served[r.charge.principal] += r.cost / r.charge.weight;
  c.in_use.erase(found);
  if (c.stocked) {
    ++c.credits;
  } else {
    ++c.next.units_returned;
  }
  flush_later(s, m);
}

void gateway::settle_charge(counter& c, const core::service_charge& charge, double cost) {
  c.next.served.push_back({.principal = charge.principal,
                           .work = charge.work,
                           .weight = charge.weight,
                           .ended = 1,
                           .corrected = cost - charge.cost});
  cost_ += cost;
}

void gateway::permit_arrives(std::size_t s, std::size_t m, const core::grant_permit& g,
                             std::uint64_t incarnation) {
  auto& c = models_[m].counters[s];
  --c.units_to_shard;
  if (c.waiting.erase(g.id) > 0) {
    begin_request(s, m, incarnation, g.charge);
  } else {
    ++c.next.units_returned;  // the client left while the grant was on its way
    settle_charge(c, g.charge, 0);
    flush_later(s, m);
  }
}

}  // namespace signalbox::simulation
