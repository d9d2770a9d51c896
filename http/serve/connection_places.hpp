// The places for client connections of all shards together. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "config/settings.hpp"

namespace signalbox::http {

class connection_places;

struct return_place {
  void operator()(connection_places* home) const;
};
// A place that is taken until this is destroyed. It must not outlive its connection_places.
using connection_place = std::unique_ptr<connection_places, return_place>;

class connection_places {
 public:
  explicit connection_places(std::uint32_t count) : count_(count) {}
  connection_places(const connection_places&) = delete;

  connection_place take();  // null: all are taken
  std::uint32_t count() const { return count_.load(); }
  // Places beyond the new count that are taken stay so until they are given back.
  void set_count(std::uint32_t count) { count_.store(count); }

 private:
  friend struct return_place;

  std::atomic<std::uint32_t> count_, taken_{0};
};

// Returns how many client connections a process of `shards` shards may have that may open
// `descriptors` files and sockets: server.max_connections, or fewer, so that those which are needed
// for runtimes, the database and logs are left. Each model can need one for each request.
std::uint32_t affordable_connections(const config::settings& settings, std::uint32_t shards,
                                     std::uint64_t descriptors);

}  // namespace signalbox::http
