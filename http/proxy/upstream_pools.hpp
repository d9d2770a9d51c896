// The pools of all shards, which make room for each other's connections. Thread-safe.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "actors/messages.hpp"

namespace signalbox::http {

class upstream_pool;

class upstream_pools {
 public:
  // Runs a task on the loop of a pool, or drops it when that has ended.
  using poster = std::function<void(std::function<void()> task)>;

  void add(upstream_pool& pool, poster post);
  // Calls make_room() of all pools but `asking`.
  void make_room(const upstream_pool& asking, const endpoint_ptr& endpoint,
                 time_point idle_before) const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<upstream_pool*, poster>> pools_;
};

}  // namespace signalbox::http
