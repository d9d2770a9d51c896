#include "http/serve/connection_places.hpp"

#include <algorithm>

namespace signalbox::http {

namespace {

// Descriptors of the process whatever it serves: database, logs, signals, actors, open files.
constexpr std::uint64_t own_descriptors = 64;
constexpr std::uint64_t shard_descriptors = 16;  // loops and listen addresses
constexpr std::uint64_t model_descriptors = 8;   // a runtime's process, its output and probes

}  // namespace

void return_place::operator()(connection_places* home) const {
  if (open != nullptr) open->fetch_sub(1);
  home->taken_.fetch_sub(1);
}

connection_place connection_places::take() {
  auto taken = taken_.load();
  do {
    if (taken >= count_.load()) return nullptr;
  } while (!taken_.compare_exchange_weak(taken, taken + 1));
  return connection_place(this);
}

shard_id connection_places::assign(connection_place& place) {
  const auto shards = open_.size();
  auto best = (last_ + 1) % shards;
  for (std::size_t i = 2; i <= shards; ++i) {
    const auto next = (last_ + i) % shards;
    if (open_[next].load() < open_[best].load()) best = next;
  }
  last_ = best;
  open_[best].fetch_add(1);
  place.get_deleter().open = &open_[best];
  return static_cast<shard_id>(best);
}

std::uint32_t affordable_connections(const config::settings& settings, std::uint32_t shards,
                                     std::uint64_t descriptors) {
  std::uint64_t fixed = own_descriptors + shards * shard_descriptors, requests = 0;
  for (const auto& model : settings.models) {
    fixed += model_descriptors;
    requests += model.max_concurrent;
  }
  // A request has two connections, so that no more than half can be those to runtimes.
  const auto rest = descriptors - std::min(fixed, descriptors / 2);
  const auto clients = rest - std::min(requests, rest / 2);
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(clients, 1, settings.server.max_connections));
}

}  // namespace signalbox::http
