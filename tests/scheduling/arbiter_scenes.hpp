// Small machines, requests and demands for tests of lease_arbiter.
#pragma once

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "scheduling/lease_arbiter.hpp"
#include "tests/scheduling/effects.hpp"

namespace signalbox::test {

using namespace signalbox::scheduling;

// As the configuration names them. exclusive: the whole machine, whatever the memory.
enum class policy : std::uint8_t { pinned, on_demand, exclusive };

inline constexpr time_point t0{std::chrono::hours(1)};
inline const holder_demand idle{};

inline lease_arbiter machine(std::vector<std::uint64_t> memory) {
  return lease_arbiter({.gpu_memory = std::move(memory),
                        .min_residency = std::chrono::seconds(5),
                        .max_swap_wait = std::chrono::seconds(30)});
}

inline lease_request of(holder_id holder, std::uint64_t memory, policy p = policy::on_demand,
                        work_class work = work_class::realtime) {
  auto need = p == policy::exclusive ? whole_machine : gpu_need{memory, 1};
  return {holder, need, p == policy::pinned, work};
}

inline holder_demand working(work_class work, const class_demand& of_it) {
  holder_demand d;
  d.of(work) = of_it;
  return d;
}

inline holder_demand busy(std::uint32_t waiting, std::uint32_t in_use, time_point since = never) {
  return working(work_class::realtime,
                 {.waiting = waiting, .in_use = in_use, .oldest_wait_since = since});
}

inline holder_demand last_used(time_point when) {
  return working(work_class::realtime, {.last_active = when});
}

inline holder_demand costing(duration load, double arrivals_per_s) {
  return {.arrivals_per_s = arrivals_per_s, .expected_load = load};
}

// A lease whose holder said that it is idle.
inline fencing_token hold(lease_arbiter& a, const lease_request& r, const holder_demand& d = idle) {
  auto grants = all<lease_grant>(a.acquire(r, t0));
  BOOST_REQUIRE_EQUAL(grants.size(), 1u);
  a.demand(r.holder, d, t0);
  return grants[0].token;
}

// Of `memory` bytes on each of `count` GPUs.
inline lease_request on(std::uint32_t count, holder_id holder, std::uint64_t memory) {
  return {holder, {memory, count}};
}

inline std::vector<holder_id> asked(const arbiter_effects& effects) {
  std::vector<holder_id> holders;
  for (const auto& a : all<ask_back>(effects)) holders.push_back(a.holder);
  return holders;
}
inline const std::vector<holder_id> nobody;

}  // namespace signalbox::test
