// Rule evict of lease_arbiter: which holders are asked back for a request.
#include <algorithm>
#include <bit>
#include <cmath>

#include "scheduling/lease_arbiter.hpp"

namespace signalbox::scheduling {

namespace {

constexpr double need_horizon_s = 60;  // the probability of need is that within this time
// When up to this many GPUs can be freed, every combination is compared, 70 at most. When more can,
// the GPUs that are cheapest one by one are taken.
constexpr std::size_t combined_gpus = 8;

// The sets of `count` GPUs to compare. Each entry of `alone` is one GPU that can be freed.
std::vector<gpu_set> combinations(std::vector<eviction> alone, std::size_t count) {
  if (alone.size() > combined_gpus && alone.size() > count) {
    std::sort(alone.begin(), alone.end());
    alone.resize(count);
  }
  auto all_of = [&](auto is_chosen) {
    gpu_set set;
    for (std::size_t i = 0; i < alone.size(); ++i) {
      if (is_chosen(i)) set.push_back(alone[i].gpus.front());
    }
    std::sort(set.begin(), set.end());
    return set;
  };
  if (alone.size() == count) return {all_of([](std::size_t) { return true; })};
  std::vector<gpu_set> sets;
  for (std::uint32_t chosen = 1; chosen < (1u << alone.size()); ++chosen) {
    if (std::popcount(chosen) != static_cast<int>(count)) continue;
    sets.push_back(all_of([=](std::size_t i) { return (chosen >> i & 1) != 0; }));
  }
  return sets;
}

}  // namespace

// Expected load time in seconds × the probability that the holder is needed again soon.
double lease_arbiter::reload_cost(const lease& l) const {
  const auto& d = demand_of(l.request.holder);
  auto need = is_busy(l) ? 1.0 : 1 - std::exp(-std::max(0.0, d.arrivals_per_s) * need_horizon_s);
  return to_seconds(d.expected_load) * need;
}

// A set of GPUs can be freed only when each of them can, so the others are left out first.
std::optional<eviction> lease_arbiter::eviction_for(const pending_request& p, const room& left,
                                                    time_point now) const {
  std::vector<eviction> alone;
  for (const auto& share : fitting(p.request.need, options_.gpu_memory)) {
    if (auto found = eviction_on({share}, p, left, now)) alone.push_back(std::move(*found));
  }
  auto count = gpus_of(p.request.need);
  if (alone.size() < count) return std::nullopt;
  if (count == 1) return *std::min_element(alone.begin(), alone.end());
  std::optional<eviction> best;
  for (const auto& gpus : combinations(std::move(alone), count)) {
    auto found = eviction_on(gpus, p, left, now);
    if (found && (!best || *found < *best)) best = std::move(found);
  }
  return best;
}

std::optional<eviction> lease_arbiter::eviction_on(const gpu_set& gpus, const pending_request& p,
                                                   const room& left, time_point now) const {
  gpu_amounts missing;
  std::uint64_t spare = 0;
  for (const auto& share : gpus) {
    auto there = std::min(share.memory, left.unreserved[share.gpu]);
    missing.push_back(share.memory - there);
    spare += left.unreserved[share.gpu] - there;
  }
  auto candidates = candidates_on(gpus, missing, p, now);
  if (!can_free(candidates, missing)) return std::nullopt;
  auto result = cheapest_eviction(std::move(candidates), missing);
  result.spare += spare;
  result.gpus = gpus;
  return result;
}

// The holders that may be asked back and have some of the missing memory.
std::vector<eviction_candidate> lease_arbiter::candidates_on(const gpu_set& gpus,
                                                             const gpu_amounts& missing,
                                                             const pending_request& p,
                                                             time_point now) const {
  std::vector<eviction_candidate> candidates;
  for (const auto& [holder, l] : leases_) {
    eviction_candidate c{holder, {}, is_busy(l), reload_cost(l), demand_of(holder).last_active()};
    bool helps = false;
    for (std::size_t i = 0; i < gpus.size(); ++i) {
      c.frees.push_back(memory_on(l.gpus, gpus[i].gpu));
      helps = helps || (missing[i] > 0 && c.frees[i] > 0);
    }
    if (helps && may_be_asked(l, p, now)) candidates.push_back(std::move(c));
  }
  return candidates;
}

}  // namespace signalbox::scheduling
