#include "scheduling/eviction.hpp"

#include <algorithm>
#include <cassert>
#include <tuple>

namespace signalbox::scheduling {

namespace {

constexpr std::size_t exact_candidates = 12;  // 4096 sets

using candidates = std::vector<eviction_candidate>;

eviction eviction_of(const candidates& victims, std::uint64_t need) {
  eviction e;
  std::uint64_t freed = 0;
  for (const auto& v : victims) {
    freed += v.frees;
    e.busy += v.is_busy;
    e.cost_s += v.cost_s;
    e.last_active = std::max(e.last_active, v.last_active);
    e.victims.push_back(v.holder);
  }
  e.count = victims.size();
  e.spare = freed - need;
  return e;
}

eviction exact(const candidates& all, std::uint64_t need) {
  eviction best;
  for (std::uint32_t set = 1; set < (1u << all.size()); ++set) {
    candidates chosen;
    std::uint64_t freed = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if ((set >> i & 1) == 0) continue;
      chosen.push_back(all[i]);
      freed += all[i].frees;
    }
    if (freed < need) continue;
    auto e = eviction_of(chosen, need);
    if (best.victims.empty() || e < best) best = std::move(e);
  }
  return best;
}

// Idle before busy, cheapest per byte first; then whoever turns out not to be needed stays, the
// dearest first.
eviction greedy(candidates all, std::uint64_t need) {
  auto key = [](const eviction_candidate& c) {
    return std::make_tuple(c.is_busy, c.cost_s / static_cast<double>(c.frees), c.last_active,
                           c.holder);
  };
  std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  std::uint64_t freed = 0;
  std::size_t count = 0;
  while (freed < need) freed += all[count++].frees;
  all.resize(count);
  for (auto i = all.size(); i-- > 0;) {
    if (freed - all[i].frees < need) continue;
    freed -= all[i].frees;
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return eviction_of(all, need);
}

}  // namespace

bool eviction::operator<(const eviction& other) const {
  auto key = [](const eviction& e) {
    return std::tie(e.busy, e.cost_s, e.count, e.last_active, e.spare, e.gpu);
  };
  return key(*this) < key(other);
}

eviction cheapest_eviction(std::vector<eviction_candidate> all, std::uint64_t need) {
  assert(need > 0);
  return all.size() <= exact_candidates ? exact(all, need) : greedy(std::move(all), need);
}

}  // namespace signalbox::scheduling
