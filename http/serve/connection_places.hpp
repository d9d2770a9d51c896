// The places for client connections of all shards together, and which shard has how many of them.
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "config/settings.hpp"
#include "scheduling/types.hpp"

namespace signalbox::http {

class connection_places;

struct return_place {
  std::atomic<std::uint32_t>* open = nullptr;  // of the shard that serves it, once that is known
  void operator()(connection_places* home) const;
};
// A place that is taken until this is destroyed. It must not outlive its connection_places.
using connection_place = std::unique_ptr<connection_places, return_place>;

class connection_places {
 public:
  explicit connection_places(std::uint32_t count, std::size_t shards = 1)
      : count_(count), open_(shards) {}
  connection_places(const connection_places&) = delete;

  connection_place take();  // null: all are taken
  // Gives the place to the shard that has the fewest, to each in its turn where several have. Call
  // it once for a place, and on one thread.
  shard_id assign(connection_place& place);
  std::uint32_t count() const { return count_.load(); }
  // Places beyond the new count that are taken stay so until they are given back.
  void set_count(std::uint32_t count) { count_.store(count); }

 private:
  friend struct return_place;

  std::atomic<std::uint32_t> count_, taken_{0};
  std::vector<std::atomic<std::uint32_t>> open_;  // by shard
  std::size_t last_ = 0;                          // the shard that got one last
};

// Returns how many client connections a process of `shards` shards may have that may open
// `descriptors` files and sockets: server.max_connections, or fewer, so that those which are needed
// for runtimes, the database and logs are left. Each model can need one for each request.
std::uint32_t affordable_connections(const config::settings& settings, std::uint32_t shards,
                                     std::uint64_t descriptors);

}  // namespace signalbox::http
