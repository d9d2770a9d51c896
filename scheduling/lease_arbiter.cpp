#include "scheduling/lease_arbiter.hpp"

#include <algorithm>
#include <tuple>

namespace signalbox::scheduling {

std::string_view to_string(swap_rule value) {
  return value == swap_rule::room ? "room" : "evict";
}

lease_arbiter::lease_arbiter(arbiter_options options)
    : options_(std::move(options)), last_token_(options_.token_floor) {}

arbiter_effects lease_arbiter::acquire(const lease_request& request, time_point now) {
  if (leases_.contains(request.holder) || pending_.contains(request.holder)) return {};
  pending_request p{request, now};
  p.request.need.memory = std::max<std::uint64_t>(1, request.need.memory);
  p.request.need.count = std::max<std::uint32_t>(1, request.need.count);
  if (!fits(p.request.need)) return {lease_refusal{request.holder, refusal::does_not_fit}};
  pending_.emplace(request.holder, p);
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

arbiter_effects lease_arbiter::remove(holder_id holder, time_point now) {
  demands_.erase(holder);
  turn_ended_.erase(holder);
  const auto ended = pending_.erase(holder) + leases_.erase(holder);
  return ended > 0 ? decide(now) : arbiter_effects{};
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
    views.push_back({holder, l.token, l.gpus, class_of(l.request), l.granted_at, l.asked_back});
  }
  return views;
}

std::size_t lease_arbiter::pending() const {
  return pending_.size();
}

std::uint64_t lease_arbiter::used_memory(std::uint32_t gpu) const {
  std::uint64_t sum = 0;
  for (const auto& [holder, l] : leases_) sum += memory_on(l.gpus, gpu);
  return sum;
}

std::size_t lease_arbiter::gpus_of(const gpu_need& need) const {
  return need.count == all_gpus ? options_.gpu_memory.size() : need.count;
}

// The bytes that the need takes of this GPU; nothing when the GPU is too small.
std::optional<std::uint64_t> lease_arbiter::bytes_on(std::uint32_t gpu,
                                                     const gpu_need& need) const {
  auto size = options_.gpu_memory[gpu];
  if (need.memory == whole_gpu) return size;
  return need.memory <= size ? std::optional(need.memory) : std::nullopt;
}

// The GPUs on which `there` has enough bytes for the need.
gpu_set lease_arbiter::fitting(const gpu_need& need,
                               const std::vector<std::uint64_t>& there) const {
  gpu_set gpus;
  for (std::uint32_t gpu = 0; gpu < there.size(); ++gpu) {
    auto bytes = bytes_on(gpu, need);
    if (bytes && *bytes <= there[gpu]) gpus.push_back({gpu, *bytes});
  }
  return gpus;
}

bool lease_arbiter::fits(const gpu_need& need) const {
  auto count = gpus_of(need);
  return count > 0 && fitting(need, options_.gpu_memory).size() >= count;
}

// The last report of a holder; one without work when it has not reported.
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

// A holder that has tickets waiting and has served none yet is loading for them. It is protected
// until its turn begins; otherwise two models could abort each other's load for ever. A load has a
// timeout of its own.
time_point lease_arbiter::protected_until(const lease& l) const {
  if (is_busy(l)) {
    return l.served_since == never ? never : l.served_since + options_.min_residency;
  }
  return l.reported ? l.granted_at : l.granted_at + options_.min_residency;
}

// Tells whether the lease is never asked back for this request.
bool lease_arbiter::is_kept_from(const lease& l, const pending_request& asking) {
  const bool are_siblings = l.request.group != 0 && l.request.group == asking.request.group;
  return (l.request.is_pinned && !asking.request.is_switch) || are_siblings;
}

// Rule evict: tells whether the lease may be asked back for this request.
bool lease_arbiter::may_be_asked(const lease& l, const pending_request& asking,
                                 time_point now) const {
  if (l.asked_back || is_kept_from(l, asking)) return false;
  if (asking.request.is_switch) return true;
  if (now < protected_until(l)) return false;
  if (!is_busy(l)) return true;
  bool nothing_waits = demand_of(l.request.holder).waiting() == 0;  // (a)
  return nothing_waits || is_overdue(asking, now);                  // (b)
}

// A model's wait begins when its oldest ticket came, or when its last turn ended if that was later.
// Tickets that its last turn left behind must not bring it back at once, past all others.
time_point lease_arbiter::waits_since(const pending_request& p, time_point oldest_ticket) const {
  auto since = oldest_ticket == never ? p.since : oldest_ticket;
  auto turn = turn_ended_.find(p.request.holder);
  return turn == turn_ended_.end() ? since : std::max(since, turn->second);
}

// The oldest ticket of any class counts, so that more urgent tickets which come later do not
// restart the wait.
time_point lease_arbiter::overdue_at(const pending_request& p) const {
  return waits_since(p, demand_of(p.request.holder).oldest_wait_since()) + options_.max_swap_wait;
}

bool lease_arbiter::is_overdue(const pending_request& p, time_point now) const {
  return now >= overdue_at(p);
}

// Tells whether somebody waits for the request. A pinned holder is wanted by the configuration;
// one whose work nobody reports asks for itself.
bool lease_arbiter::is_awaited(const pending_request& p) const {
  const auto holder = p.request.holder;
  const bool is_wanted = p.request.is_pinned || p.request.is_ordered;
  return is_wanted || !demands_.contains(holder) || demand_of(holder).waiting() > 0;
}

std::vector<holder_id> lease_arbiter::serving_order() const {
  std::vector<std::tuple<bool, work_class, time_point, time_point, holder_id>> keys;
  for (const auto& [holder, p] : pending_) {
    auto work = class_of(p.request);
    auto since = waits_since(p, demand_of(holder).of(work).oldest_wait_since);
    keys.emplace_back(!is_awaited(p), work, since, p.since, holder);
  }
  std::sort(keys.begin(), keys.end());
  std::vector<holder_id> order;
  for (const auto& key : keys) order.push_back(std::get<holder_id>(key));
  return order;
}

lease_arbiter::room lease_arbiter::room_now() const {
  room now{options_.gpu_memory, options_.gpu_memory};
  for (const auto& [holder, l] : leases_) {
    for (const auto& share : l.gpus) {
      now.free[share.gpu] -= share.memory;
      if (!l.asked_back) now.unreserved[share.gpu] -= share.memory;
    }
  }
  return now;
}

// Looks at the requests in order. Each is granted (rule room), or frees memory and reserves it
// (rule evict), or is overtaken by later ones, or holds these back. Those that nobody waits for
// come last, and get what is left.
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
  if (!is_awaited(p)) return;
  auto victims = eviction_for(p, left, now);
  if (!victims) {
    if (is_overdue(p, now)) hold_back(p, left);
    return;
  }
  ask(*victims, p, left, out);
  for (const auto& share : victims->gpus) left.unreserved[share.gpu] -= share.memory;
}

// Rule evict: asks the victims back and counts their memory as coming.
void lease_arbiter::ask(const eviction& e, pending_request& p, room& left, arbiter_effects& out) {
  for (auto victim : e.victims) {
    auto& l = leases_.at(victim);
    l.asked_back = true;
    p.evicted = true;
    for (const auto& share : l.gpus) left.unreserved[share.gpu] += share.memory;
    out.push_back(
        ask_back{victim, l.token, p.request.holder, swap_rule::evict, p.request.is_switch});
  }
}

// Rule room. Takes the GPUs with the least free memory that is enough, so that large areas stay
// free.
bool lease_arbiter::grant_if_free(pending_request& p, room& left, arbiter_effects& out,
                                  time_point now) {
  auto usable = left.free;
  for (std::size_t gpu = 0; gpu < usable.size(); ++gpu) {
    usable[gpu] = std::min(usable[gpu], left.unreserved[gpu]);
  }
  auto gpus = fitting(p.request.need, usable);
  auto count = gpus_of(p.request.need);
  if (gpus.size() < count) return false;
  std::stable_sort(gpus.begin(), gpus.end(), [&](const gpu_share& a, const gpu_share& b) {
    return left.free[a.gpu] < left.free[b.gpu];
  });
  gpus.resize(count);
  std::sort(gpus.begin(), gpus.end());
  for (const auto& share : gpus) {
    left.free[share.gpu] -= share.memory;
    left.unreserved[share.gpu] -= share.memory;
  }
  lease granted{p.request, ++last_token_, std::move(gpus), now};
  out.push_back(lease_grant{p.request.holder, granted.token, granted.gpus,
                            p.evicted ? swap_rule::evict : swap_rule::room});
  leases_.emplace(p.request.holder, std::move(granted));
  return true;
}

// Keeps the requests behind an overdue one, which cannot free enough yet, off the GPUs where it
// will be placed: the first ones on which pinned holders and siblings leave enough. Without enough
// such GPUs it holds back nobody.
void lease_arbiter::hold_back(const pending_request& p, room& left) const {
  auto possible = options_.gpu_memory;
  for (const auto& [holder, l] : leases_) {
    if (!is_kept_from(l, p)) continue;
    for (const auto& share : l.gpus) possible[share.gpu] -= share.memory;
  }
  auto gpus = fitting(p.request.need, possible);
  auto count = gpus_of(p.request.need);
  if (gpus.size() < count) return;
  for (std::size_t i = 0; i < count; ++i) left.unreserved[gpus[i].gpu] = 0;
}

time_point lease_arbiter::next_change(time_point now) const {
  auto next = never;
  if (pending_.empty()) return next;
  for (const auto& [holder, l] : leases_) {
    if (l.asked_back || l.request.is_pinned) continue;
    if (auto t = protected_until(l); t > now) next = std::min(next, t);
  }
  for (const auto& [holder, p] : pending_) {
    if (auto t = overdue_at(p); t > now) next = std::min(next, t);
  }
  return next;
}

}  // namespace signalbox::scheduling
