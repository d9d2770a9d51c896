// Which backend of a model a request goes to. Both places that choose use it: the queue when it
// grants a permit, and a shard when it takes one by credit. The strategy is least loaded: the
// smallest share of a backend's units is in use.
#pragma once

#include <cstdint>
#include <optional>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// How much of a backend is in use, as the one who chooses knows it.
struct backend_load {
  std::uint32_t in_use = 0;  // requests in flight
  std::uint32_t units = 1;   // how many there may be, above 0
};

// Whether `a` has the smaller share of its units in use; of two that are equal, more units free.
constexpr bool is_less_loaded(const backend_load& a, const backend_load& b) {
  const auto left = std::uint64_t{a.in_use} * b.units, right = std::uint64_t{b.in_use} * a.units;
  return left != right ? left < right : a.units > b.units;
}

// The least loaded of `backends`, the first of several that are equal; null when none may be
// chosen. `load_of` answers with the load of a backend, or with nothing when it has no room.
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
