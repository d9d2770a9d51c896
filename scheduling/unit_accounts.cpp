#include "scheduling/unit_accounts.hpp"

#include <algorithm>

namespace signalbox::scheduling {

unit_accounts::account& unit_accounts::of(shard_id id) {
  for (auto& a : accounts_) {
    if (a.id == id) return a;
  }
  accounts_.push_back({.id = id});
  return accounts_.back();
}

void unit_accounts::attach(shard_id shard, std::uint32_t in_use) {
  auto& a = of(shard);
  free_ += a.held;
  held_ -= a.held;
  a = {.id = shard, .held = in_use, .in_use = in_use, .attached = true};
  free_ -= in_use;
  held_ += in_use;
}

void unit_accounts::grant(shard_id shard) {
  auto& a = of(shard);
  ++a.held;
  ++a.in_use;
  ++held_;
  --free_;
}

void unit_accounts::give_back(shard_id shard, std::uint32_t units) {
  auto& a = of(shard);
  units = std::min(units, a.held);
  if (units == 0) return;
  a.held -= units;
  a.in_use = std::min(a.in_use, a.held);
  a.recall_pending = false;
  held_ -= units;
  free_ += units;
}

void unit_accounts::report(shard_id shard, std::uint32_t in_use) {
  of(shard).in_use = in_use;
}

void unit_accounts::recall(admission_effects& out) {
  for (auto& a : accounts_) {
    if (!a.stocked) continue;
    a.stocked = false;
    a.recall_pending = true;
    out.push_back(recall_credits{a.id});
  }
}

// Equal shares; what cannot be shared equally stays here and is granted by ticket. While requests
// come about as fast as units return, stocking one unit would only cause the next recall: a quarter
// of the units must be free.
void unit_accounts::stock(admission_effects& out) {
  auto enough = std::max<std::int64_t>(1, units_ / 4);
  auto attached = std::count_if(accounts_.begin(), accounts_.end(),
                                [](const account& a) { return a.attached; });
  if (free_ < enough || free_ < attached || attached == 0) return;
  auto share = static_cast<std::uint32_t>(free_ / attached);
  for (auto& a : accounts_) {
    if (!a.attached) continue;
    if (!a.stocked) a.in_use = a.held;  // a recalled shard keeps only what it uses
    a.stocked = true;
    a.recall_pending = false;
    a.held += share;
    held_ += share;
    free_ -= share;
    out.push_back(give_credits{a.id, share});
  }
}

std::uint32_t unit_accounts::in_use() const {
  std::uint32_t sum = 0;
  for (const auto& a : accounts_) sum += a.stocked ? std::min(a.held, a.in_use) : a.held;
  return sum;
}

std::uint32_t unit_accounts::returning() const {
  std::uint32_t sum = 0;
  for (const auto& a : accounts_) {
    if (a.stocked || a.recall_pending) sum += a.held - std::min(a.held, a.in_use);
  }
  return sum;
}

}  // namespace signalbox::scheduling
