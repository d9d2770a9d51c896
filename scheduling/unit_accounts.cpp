#include "scheduling/unit_accounts.hpp"

#include <algorithm>
#include <utility>

#include "scheduling/routing.hpp"

namespace signalbox::scheduling {

namespace {

// Adjusts `counts` so that their sum is `units`. Excess is taken from the least urgent class first;
// missing units, which are granted and not reported yet, count as the most urgent class.
class_counts fitted(class_counts counts, std::uint32_t units) {
  auto sum = total(counts);
  for (auto count = counts.rbegin(); count != counts.rend() && sum > units; ++count) {
    const auto over = std::min(*count, sum - units);
    *count -= over;
    sum -= over;
  }
  counts.front() += units - sum;
  return counts;
}

void add(class_counts& sum, const class_counts& more) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
}

}  // namespace

// A shard that is not stocked has all its units in use, because it returns each one that is not.
class_counts unit_accounts::account::in_use_now() const {
  const bool is_as_reported = stocked && total(in_use) <= held;
  return is_as_reported ? in_use : fitted(in_use, held);
}

unit_accounts::account& unit_accounts::pool::of(shard_id shard) {
  for (auto& a : accounts) {
    if (a.shard == shard) return a;
  }
  accounts.push_back({.shard = shard});
  return accounts.back();
}

class_counts unit_accounts::pool::in_use() const {
  class_counts sum{};
  for (const auto& a : accounts) {
    add(sum, a.in_use_now());
  }
  return sum;
}

template <class Pools>
auto* unit_accounts::find(Pools& pools, backend_id backend) {
  const auto found =
      std::find_if(pools.begin(), pools.end(), [=](const pool& p) { return p.backend == backend; });
  return found == pools.end() ? nullptr : &*found;
}

bool unit_accounts::pool::is_in_use() const {
  return std::any_of(accounts.begin(), accounts.end(), [](const account& a) {
    return a.held > 0 && (!a.stocked || total(a.in_use) > 0);
  });
}

void unit_accounts::pool::note_use(time_point now) {
  if (is_in_use()) last_active = now;
}

bool unit_accounts::is_in_use() const {
  return std::any_of(pools_.begin(), pools_.end(), [](const pool& p) { return p.is_in_use(); });
}

unit_accounts::pool& unit_accounts::pool_of(backend_id backend) {
  if (auto* known = find(pools_, backend)) return *known;
  pools_.push_back({.backend = backend});
  return pools_.back();
}

void unit_accounts::forget_if_over(backend_id backend) {
  std::erase_if(pools_, [=](const pool& p) {
    return p.backend == backend && !p.is_open && p.free == std::int64_t{p.units};
  });
}

void unit_accounts::attach(shard_id shard, std::span<const backend_units> in_use, time_point now) {
  if (std::find(attached_.begin(), attached_.end(), shard) == attached_.end()) {
    attached_.push_back(shard);
  }
  for (const auto& [backend, units] : in_use) pool_of(backend);
  for (auto& p : pools_) {
    p.note_use(now);
    auto& a = p.of(shard);
    p.free += a.held;
    stocked_ -= a.stocked ? 1 : 0;
    a = {.shard = shard};
    for (const auto& [backend, units] : in_use) {
      if (backend == p.backend) a.held += units;
    }
    p.free -= a.held;
  }
  std::erase_if(pools_,
                [](const pool& p) { return !p.is_open && p.free == std::int64_t{p.units}; });
  count_free();
}

void unit_accounts::open(backend_id backend, std::uint32_t units, admission_effects& out) {
  auto& p = pool_of(backend);
  if (!std::exchange(p.is_open, true)) ++open_pools_;
  set_units(backend, units, out);
}

void unit_accounts::set_units(backend_id backend, std::uint32_t units, admission_effects& out) {
  auto* p = find(pools_, backend);
  if (p == nullptr) return;
  units = std::max<std::uint32_t>(1, units);
  p->free += std::int64_t{units} - p->units;
  p->units = units;
  count_free();
  if (p->free < 0) recall(*p, out);  // else a shard would keep each unit as its request ends
}

void unit_accounts::close(backend_id backend, admission_effects& out) {
  auto* p = find(pools_, backend);
  if (p == nullptr) return;
  if (std::exchange(p->is_open, false)) --open_pools_;
  recall(*p, out);
  forget_if_over(backend);
  count_free();
}

backend_id unit_accounts::grant(shard_id shard, work_class work) {
  auto& p = *choose_backend(pools_, [](const pool& each) -> std::optional<backend_load> {
    if (!each.has_free()) return std::nullopt;
    return backend_load{each.units - static_cast<std::uint32_t>(each.free), each.units};
  });
  auto& a = p.of(shard);
  ++a.held;
  ++a.in_use[index_of(work)];
  --p.free;
  count_free();
  return p.backend;
}

void unit_accounts::give_back(shard_id shard, backend_id backend, std::uint32_t units,
                              time_point now) {
  auto* p = find(pools_, backend);
  if (p == nullptr) return;
  auto& a = p->of(shard);
  units = std::min(units, a.held);
  if (units == 0) return;
  p->last_active = now;
  a.held -= units;
  a.recall_pending = false;
  p->free += units;
  if (!p->is_open) forget_if_over(backend);
  count_free();
}

void unit_accounts::report(shard_id shard, const backend_report& report, time_point now) {
  auto* p = find(pools_, report.backend);
  if (p == nullptr) return;
  p->note_use(now);
  p->of(shard).in_use = report.in_use;
  if (report.ended > 0) p->last_active = now;
}

void unit_accounts::recall(pool& p, admission_effects& out) {
  for (auto& a : p.accounts) {
    if (!a.stocked) continue;
    a.stocked = false;
    --stocked_;
    a.recall_pending = true;
    out.push_back(recall_credits{a.shard, p.backend});
  }
}

void unit_accounts::recall(admission_effects& out) {
  if (stocked_ == 0) return;
  for (auto& p : pools_) recall(p, out);
}

void unit_accounts::give_credits_to(shard_id shard, pool& p, std::int64_t count,
                                    admission_effects& out) {
  if (count == 0) return;
  auto& a = p.of(shard);
  if (!a.stocked) {
    a.in_use = fitted(a.in_use, a.held);  // a recalled shard has no unused units
    a.stocked = true;
    ++stocked_;
  }
  a.recall_pending = false;
  a.held += static_cast<std::uint32_t>(count);
  p.free -= count;
  out.push_back(give_credits{shard, p.backend, static_cast<std::uint32_t>(count)});
}

// Gives every shard the same number of units over all backends together, so that many small
// backends reach every shard too. The rest stays here and is granted by ticket. At least a quarter
// of the units must be free: while requests come about as fast as units return, stocking single
// units would only cause the next recall.
void unit_accounts::stock(admission_effects& out) {
  // The free units of a pool.
  struct stack {
    pool* from;
    std::int64_t each, rest;  // units for each shard, and what is left then
  };
  const auto shards = static_cast<std::int64_t>(attached_.size());
  const auto free = static_cast<std::int64_t>(free_);
  if (shards == 0 || free < shards || free < static_cast<std::int64_t>(units() / 4)) return;
  std::vector<stack> stacks;
  std::int64_t missing_each = free / shards;
  for (auto& p : pools_) {
    if (!p.has_free()) continue;
    stacks.push_back({&p, p.free / shards, p.free % shards});
    missing_each -= stacks.back().each;
  }
  auto next = stacks.begin();  // the stack whose rest is given out
  for (const auto shard : attached_) {
    auto missing = missing_each;
    for (auto& s : stacks) give_credits_to(shard, *s.from, s.each, out);
    for (; missing > 0; --missing) {
      while (next->rest == 0) ++next;
      --next->rest;
      give_credits_to(shard, *next->from, 1, out);
    }
  }
  count_free();
}

bool unit_accounts::is_open(backend_id backend) const {
  const auto* p = find(pools_, backend);
  return p != nullptr && p->is_open;
}

void unit_accounts::count_free() {
  free_ = 0;
  for (const auto& p : pools_) free_ += p.has_free() ? static_cast<std::uint64_t>(p.free) : 0;
}

bool unit_accounts::is_said_in_use(backend_id backend) const {
  const auto* p = find(pools_, backend);
  return p != nullptr && std::any_of(p->accounts.begin(), p->accounts.end(),
                                     [](const account& a) { return total(a.in_use) > 0; });
}

std::uint64_t unit_accounts::units() const {
  std::uint64_t sum = 0;
  for (const auto& p : pools_) sum += p.is_open ? p.units : 0;
  return sum;
}

std::uint64_t unit_accounts::held() const {
  std::uint64_t sum = 0;
  for (const auto& p : pools_) sum += static_cast<std::uint64_t>(p.units - p.free);
  return sum;
}

std::uint32_t unit_accounts::held(backend_id backend) const {
  const auto* p = find(pools_, backend);
  return p == nullptr ? 0 : static_cast<std::uint32_t>(p->units - p->free);
}

class_counts unit_accounts::in_use() const {
  class_counts sum{};
  for (const auto& p : pools_) add(sum, p.in_use());
  return sum;
}

class_counts unit_accounts::in_use(backend_id backend) const {
  const auto* p = find(pools_, backend);
  return p == nullptr ? class_counts{} : p->in_use();
}

time_point unit_accounts::last_active(backend_id backend, time_point now) const {
  const auto* p = find(pools_, backend);
  if (p == nullptr) return time_point{};
  return p->is_in_use() ? now : p->last_active;
}

std::uint32_t unit_accounts::returning() const {
  std::uint32_t sum = 0;
  for (const auto& p : pools_) {
    for (const auto& a : p.accounts) {
      if (a.stocked || a.recall_pending) sum += a.held - std::min(a.held, total(a.in_use));
    }
  }
  return sum;
}

}  // namespace signalbox::scheduling
