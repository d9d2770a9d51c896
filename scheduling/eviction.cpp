#include "scheduling/eviction.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <tuple>

namespace signalbox::scheduling {

namespace {

constexpr std::size_t exact_candidates = 12;  // 4096 sets

using candidates = std::vector<eviction_candidate>;

std::uint64_t sum_of(const gpu_amounts& amounts) {
  return std::accumulate(amounts.begin(), amounts.end(), std::uint64_t{0});
}

void add(gpu_amounts& to, const gpu_amounts& more) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += more[i];
}

bool covers(const gpu_amounts& freed, const gpu_amounts& missing) {
  for (std::size_t i = 0; i < missing.size(); ++i) {
    if (freed[i] < missing[i]) return false;
  }
  return true;
}

void count_victim(eviction& e, const eviction_candidate& c) {
  e.busy += c.is_busy;
  e.cost_s += c.cost_s;
  e.last_active = std::max(e.last_active, c.last_active);
  ++e.count;
}

eviction eviction_of(const candidates& victims, const gpu_amounts& missing) {
  eviction e;
  std::uint64_t freed = 0;
  for (const auto& v : victims) {
    count_victim(e, v);
    freed += sum_of(v.frees);
    e.victims.push_back(v.holder);
  }
  e.spare = freed - sum_of(missing);
  return e;
}

eviction exact(const candidates& all, const gpu_amounts& missing) {
  const auto total = sum_of(missing);
  eviction best;
  std::uint32_t best_set = 0;
  gpu_amounts freed(missing.size());
  for (std::uint32_t set = 1; set < (1u << all.size()); ++set) {
    eviction e;
    std::fill(freed.begin(), freed.end(), 0);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if ((set >> i & 1) == 0) continue;
      count_victim(e, all[i]);
      add(freed, all[i].frees);
    }
    if (!covers(freed, missing)) continue;
    e.spare = sum_of(freed) - total;
    if (best_set != 0 && !(e < best)) continue;
    best = std::move(e);
    best_set = set;
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if ((best_set >> i & 1) != 0) best.victims.push_back(all[i].holder);
  }
  return best;
}

// Takes idle candidates before busy ones and the cheapest per byte first, and skips those whose
// GPUs have enough already. Then it spares each victim that is not needed, the most expensive ones
// first.
eviction greedy(candidates all, const gpu_amounts& missing) {
  auto key = [](const eviction_candidate& c) {
    return std::make_tuple(c.is_busy, c.cost_s / static_cast<double>(sum_of(c.frees)),
                           c.last_active, c.holder);
  };
  std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  gpu_amounts freed(missing.size());
  candidates chosen;
  for (auto& c : all) {
    auto helps = [&](std::size_t gpu) { return c.frees[gpu] > 0 && freed[gpu] < missing[gpu]; };
    for (std::size_t gpu = 0; gpu < missing.size(); ++gpu) {
      if (!helps(gpu)) continue;
      add(freed, c.frees);
      chosen.push_back(std::move(c));
      break;
    }
  }
  for (auto i = chosen.size(); i-- > 0;) {
    auto rest = freed;
    for (std::size_t gpu = 0; gpu < rest.size(); ++gpu) rest[gpu] -= chosen[i].frees[gpu];
    if (!covers(rest, missing)) continue;
    freed = std::move(rest);
    chosen.erase(chosen.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return eviction_of(chosen, missing);
}

}  // namespace

bool eviction::operator<(const eviction& other) const {
  auto key = [](const eviction& e) {
    return std::tie(e.busy, e.cost_s, e.count, e.last_active, e.spare, e.gpus);
  };
  return key(*this) < key(other);
}

eviction cheapest_eviction(std::vector<eviction_candidate> all, const gpu_amounts& missing) {
  assert(can_free(all, missing));
  if (sum_of(missing) == 0) return {};
  return all.size() <= exact_candidates ? exact(all, missing) : greedy(std::move(all), missing);
}

bool can_free(const std::vector<eviction_candidate>& all, const gpu_amounts& missing) {
  gpu_amounts freed(missing.size());
  for (const auto& c : all) add(freed, c.frees);
  return covers(freed, missing);
}

}  // namespace signalbox::scheduling
