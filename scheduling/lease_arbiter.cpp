#include "scheduling/lease_arbiter.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace signalbox::scheduling {

namespace {

constexpr std::uint8_t rule_room_is_free = 1;
constexpr std::uint8_t rule_eviction = 2;
constexpr double need_horizon_s = 60;  // "will it be needed" means: within this time

double seconds(duration d) {
  return std::chrono::duration<double>(d).count();
}

}  // namespace

// What is left on each GPU for the requests still to be looked at.
struct lease_arbiter::room {
  std::vector<std::uint64_t> free;  // nobody holds it
  // Free or asked back, and not needed by earlier requests. A later one is granted only from this.
  std::vector<std::uint64_t> unreserved;
};

lease_arbiter::lease_arbiter(arbiter_options options) : options_(std::move(options)) {}

arbiter_effects lease_arbiter::acquire(const lease_request& request, time_point now) {
  if (leases_.contains(request.holder) || pending_.contains(request.holder)) return {};
  if (!fits(request)) return {lease_refusal{request.holder, refusal::does_not_fit}};
  pending_request p{request, now};
  p.request.memory = std::max<std::uint64_t>(1, request.memory);  // nothing at all would fit beside
  pending_.emplace(request.holder, p);                            // an exclusive holder
  return decide(now);
}

arbiter_effects lease_arbiter::withdraw(holder_id holder, time_point now) {
  if (pending_.erase(holder) == 0) return {};
  return decide(now);
}

arbiter_effects lease_arbiter::release(holder_id holder, fencing_token token, time_point now) {
  auto found = leases_.find(holder);
  if (found == leases_.end() || found->second.token != token) return {};
  leases_.erase(found);
  turn_ended_[holder] = now;
  return decide(now);
}

arbiter_effects lease_arbiter::demand(holder_id holder, const holder_demand& demand,
                                      time_point now) {
  demands_[holder] = demand;
  if (auto found = leases_.find(holder); found != leases_.end()) {
    auto& l = found->second;
    l.reported = true;
    if (demand.in_use() > 0) l.served_since = std::min(l.served_since, now);
  }
  return decide(now);
}

arbiter_effects lease_arbiter::advance(time_point now) {
  return decide(now);
}

time_point lease_arbiter::next_deadline() const {
  return deadline_;
}

std::vector<lease_view> lease_arbiter::leases() const {
  std::vector<lease_view> views;
  for (const auto& [holder, l] : leases_) {
    views.push_back({holder, l.token, l.gpu, l.request.memory, class_of(l.request), l.granted_at,
                     l.asked_back});
  }
  return views;
}

std::size_t lease_arbiter::pending() const {
  return pending_.size();
}

std::uint64_t lease_arbiter::used_memory(std::uint32_t gpu) const {
  std::uint64_t sum = 0;
  for (const auto& [holder, l] : leases_) {
    if (l.gpu == gpu) sum += l.request.memory;
  }
  return sum;
}

bool lease_arbiter::fits(const lease_request& request) const {
  const auto& sizes = options_.gpu_memory;
  return std::any_of(sizes.begin(), sizes.end(),
                     [&](std::uint64_t size) { return request.memory <= size; });
}

// Of a holder that has not reported: it has no work.
const holder_demand& lease_arbiter::demand_of(holder_id holder) const {
  static const holder_demand none;
  auto found = demands_.find(holder);
  return found == demands_.end() ? none : found->second;
}

work_class lease_arbiter::class_of(const lease_request& request) const {
  return demand_of(request.holder).most_urgent().value_or(request.work);
}

bool lease_arbiter::is_busy(const lease& l) const {
  return demand_of(l.request.holder).has_work();
}

// A holder whose tickets wait and that has served nothing yet is loading for them: to evict it
// before its turn began would let two models abort each other's load for ever. A load has a timeout
// of its own.
time_point lease_arbiter::protected_until(const lease& l) const {
  if (is_busy(l)) {
    return l.served_since == never ? never : l.served_since + options_.min_residency;
  }
  return l.reported ? l.granted_at : l.granted_at + options_.min_residency;
}

// Rule 2: who may be asked back for whom.
bool lease_arbiter::may_be_asked(const lease& l, const pending_request& asking,
                                 time_point now) const {
  if (l.asked_back || l.request.policy == residency_policy::pinned) return false;
  if (now < protected_until(l)) return false;
  if (!is_busy(l)) return true;
  bool nothing_waits = demand_of(l.request.holder).waiting() == 0;  // 2a
  return nothing_waits || is_overdue(asking, now);                  // 2b
}

// Expected load time × the probability that it is needed again soon.
double lease_arbiter::reload_cost(const lease& l) const {
  const auto& d = demand_of(l.request.holder);
  auto need = is_busy(l) ? 1.0 : 1 - std::exp(-std::max(0.0, d.arrivals_per_s) * need_horizon_s);
  return seconds(d.expected_load) * need;
}

// A model waits for its turn since its oldest ticket came, but not since before its last turn
// ended: what that turn left behind must not call the model straight back, past all others.
time_point lease_arbiter::waits_since(const pending_request& p, time_point oldest_ticket) const {
  auto since = oldest_ticket == never ? p.since : oldest_ticket;
  auto turn = turn_ended_.find(p.request.holder);
  return turn == turn_ended_.end() ? since : std::max(since, turn->second);
}

// Its oldest ticket of any class counts: what comes later, and is more urgent, takes nothing away
// from those that wait.
time_point lease_arbiter::overdue_at(const pending_request& p) const {
  return waits_since(p, demand_of(p.request.holder).oldest_wait_since()) + options_.max_swap_wait;
}

bool lease_arbiter::is_overdue(const pending_request& p, time_point now) const {
  return now >= overdue_at(p);
}

std::vector<holder_id> lease_arbiter::serving_order() const {
  std::vector<std::tuple<work_class, time_point, time_point, holder_id>> keys;
  for (const auto& [holder, p] : pending_) {
    auto work = class_of(p.request);
    auto since = waits_since(p, demand_of(holder).of(work).oldest_wait_since);
    keys.emplace_back(work, since, p.since, holder);
  }
  std::sort(keys.begin(), keys.end());
  std::vector<holder_id> order;
  for (const auto& key : keys) order.push_back(std::get<holder_id>(key));
  return order;
}

lease_arbiter::room lease_arbiter::room_now() const {
  room now{options_.gpu_memory, options_.gpu_memory};
  for (const auto& [holder, l] : leases_) {
    for (std::uint32_t gpu = 0; gpu < now.free.size(); ++gpu) {
      bool is_alone = l.request.policy == residency_policy::exclusive;
      if (!is_alone && gpu != l.gpu) continue;
      auto taken = is_alone ? now.free[gpu] : l.request.memory;
      now.free[gpu] -= taken;
      if (!l.asked_back) now.unreserved[gpu] -= taken;
    }
  }
  return now;
}

// The requests are looked at in order; each is granted (rule 1), or frees memory for itself (rule
// 2) and reserves it, or is passed by, or holds those behind it back.
arbiter_effects lease_arbiter::decide(time_point now) {
  arbiter_effects out;
  if (!pending_.empty()) {
    auto left = room_now();
    for (auto holder : serving_order()) serve(holder, left, out, now);
  }
  deadline_ = next_change(now);
  return out;
}

void lease_arbiter::serve(holder_id holder, room& left, arbiter_effects& out, time_point now) {
  auto& p = pending_.at(holder);
  if (grant_if_free(p, left, out, now)) {
    pending_.erase(holder);
    return;
  }
  auto victims = eviction_for(p, left, now);
  if (!victims) {
    if (is_overdue(p, now)) hold_back(p, left);
    return;
  }
  ask(*victims, p, left, out);
  if (p.request.policy == residency_policy::exclusive) {
    std::fill(left.unreserved.begin(), left.unreserved.end(), 0);
  } else {
    left.unreserved[victims->gpu] -= p.request.memory;
  }
}

void lease_arbiter::ask(const eviction& e, pending_request& p, room& left, arbiter_effects& out) {
  for (auto victim : e.victims) {
    auto& l = leases_.at(victim);
    l.asked_back = true;
    p.evicted = true;
    bool is_alone = l.request.policy == residency_policy::exclusive;
    for (std::uint32_t gpu = 0; gpu < left.free.size(); ++gpu) {
      if (!is_alone && gpu != l.gpu) continue;
      auto freed = is_alone ? options_.gpu_memory[gpu] : l.request.memory;
      left.unreserved[gpu] += freed;
    }
    out.push_back(ask_back{victim, l.token, p.request.holder, rule_eviction});
  }
}

// The tightest fit keeps large holes whole.
bool lease_arbiter::grant_if_free(pending_request& p, room& left, arbiter_effects& out,
                                  time_point now) {
  auto need = p.request.memory;
  bool is_exclusive = p.request.policy == residency_policy::exclusive;
  std::optional<std::uint32_t> best;
  for (std::uint32_t gpu = 0; gpu < left.free.size(); ++gpu) {
    auto usable = std::min(left.free[gpu], left.unreserved[gpu]);
    bool is_empty = left.unreserved[gpu] == options_.gpu_memory[gpu];
    if (is_exclusive && (!leases_.empty() || !is_empty)) return false;
    if (need <= usable && (!best || left.free[gpu] < left.free[*best])) best = gpu;
  }
  if (!best) return false;
  lease granted{p.request, ++last_token_, *best, now};
  out.push_back(lease_grant{p.request.holder, granted.token, *best,
                            p.evicted ? rule_eviction : rule_room_is_free});
  leases_.emplace(p.request.holder, granted);
  for (std::uint32_t gpu = 0; gpu < left.free.size(); ++gpu) {
    if (!is_exclusive && gpu != *best) continue;
    auto taken = is_exclusive ? left.free[gpu] : need;
    left.free[gpu] -= taken;
    left.unreserved[gpu] -= taken;
  }
  return true;
}

std::optional<eviction> lease_arbiter::eviction_for(const pending_request& p, const room& left,
                                                    time_point now) const {
  if (p.request.policy == residency_policy::exclusive) return eviction_of_all(p, left, now);
  std::optional<eviction> best;
  for (std::uint32_t gpu = 0; gpu < left.free.size(); ++gpu) {
    auto found = eviction_on(gpu, p, left, now);
    if (found && (!best || *found < *best)) best = std::move(found);
  }
  return best;
}

// The machine must become empty, and no earlier request may be about to use it: all or nobody.
std::optional<eviction> lease_arbiter::eviction_of_all(const pending_request& p, const room& left,
                                                       time_point now) const {
  eviction all;
  std::vector<std::uint64_t> freed = left.unreserved;
  for (const auto& [holder, l] : leases_) {
    if (l.asked_back) continue;
    if (!may_be_asked(l, p, now)) return std::nullopt;
    all.victims.push_back(holder);
    freed[l.gpu] += l.request.memory;
    if (l.request.policy == residency_policy::exclusive) freed = options_.gpu_memory;
  }
  if (freed != options_.gpu_memory) return std::nullopt;
  return all;
}

std::optional<eviction> lease_arbiter::eviction_on(std::uint32_t gpu, const pending_request& p,
                                                   const room& left, time_point now) const {
  auto need = p.request.memory;
  if (need > options_.gpu_memory[gpu]) return std::nullopt;
  eviction result;
  if (need > left.unreserved[gpu]) {
    auto deficit = need - left.unreserved[gpu];
    std::vector<eviction_candidate> candidates;
    std::uint64_t available = 0;
    for (const auto& [holder, l] : leases_) {
      bool is_alone = l.request.policy == residency_policy::exclusive;
      if ((l.gpu != gpu && !is_alone) || !may_be_asked(l, p, now)) continue;
      auto frees = is_alone ? options_.gpu_memory[gpu] : l.request.memory;
      auto last_active = demand_of(holder).last_active();
      candidates.push_back({holder, frees, is_busy(l), reload_cost(l), last_active});
      available += frees;
    }
    if (available < deficit) return std::nullopt;
    result = cheapest_eviction(std::move(candidates), deficit);
  } else {
    result.spare = left.unreserved[gpu] - need;
  }
  result.gpu = gpu;
  return result;
}

// An overdue request that can free nothing yet: nobody behind it gets room where it will be placed,
// the first GPU that pinned holders leave large enough. Where there is none, it holds up nobody.
void lease_arbiter::hold_back(const pending_request& p, room& left) const {
  auto possible = options_.gpu_memory;
  bool is_empty_possible = true;
  for (const auto& [holder, l] : leases_) {
    if (l.request.policy != residency_policy::pinned) continue;
    possible[l.gpu] -= l.request.memory;
    is_empty_possible = false;
  }
  if (p.request.policy == residency_policy::exclusive) {
    if (is_empty_possible) std::fill(left.unreserved.begin(), left.unreserved.end(), 0);
    return;
  }
  for (std::size_t gpu = 0; gpu < possible.size(); ++gpu) {
    if (p.request.memory > possible[gpu]) continue;
    left.unreserved[gpu] = 0;
    return;
  }
}

time_point lease_arbiter::next_change(time_point now) const {
  auto next = never;
  if (pending_.empty()) return next;
  for (const auto& [holder, l] : leases_) {
    if (l.asked_back || l.request.policy == residency_policy::pinned) continue;
    if (auto t = protected_until(l); t > now) next = std::min(next, t);
  }
  for (const auto& [holder, p] : pending_) {
    if (auto t = overdue_at(p); t > now) next = std::min(next, t);
  }
  return next;
}

}  // namespace signalbox::scheduling
