// Chooses the backend of a model that a request goes to. Both places that choose use it: the queue
// when it grants a permit, and a shard when it takes one by credit. The choice is the least loaded
// backend, the one with the smallest share of its units in use.
#pragma once

#include <cstdint>
#include <optional>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// The load of a backend, as far as the queue or the shard that chooses knows it.
struct backend_load {
  std::uint32_t in_use = 0;  // requests in flight
  std::uint32_t units = 1;   // requests that may be in flight, above 0
};

// Tells whether `a` has the smaller share of its units in use, or the same share of more units.
constexpr bool is_less_loaded(const backend_load& a, const backend_load& b) {
  const auto left = std::uint64_t{a.in_use} * b.units, right = std::uint64_t{b.in_use} * a.units;
  return left != right ? left < right : a.units > b.units;
}

// Returns the least loaded of `backends`, the first one among equals, or null when none has room.
// `load_of` returns the load of a backend, or nothing when it has no room.
template <class Backends, class LoadOf>
auto* choose_backend(Backends& backends, LoadOf load_of) {
  decltype(&*backends.begin()) best = nullptr;
  backend_load least;
  for (auto& backend : backends) {
    const std::optional<backend_load> load = load_of(backend);
    if (!load || (best != nullptr && !is_less_loaded(*load, least))) continue;
    best = &backend;
    least = *load;
  }
  return best;
}

}  // namespace signalbox::scheduling
