#include "http/proxy/upstream_pools.hpp"

#include "http/proxy/upstream_pool.hpp"

namespace signalbox::http {

void upstream_pools::add(upstream_pool& pool, poster post) {
  const std::lock_guard lock(mutex_);
  pools_.emplace_back(&pool, std::move(post));
}

void upstream_pools::make_room(const upstream_pool& asking, const endpoint_ptr& endpoint,
                               time_point idle_before) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [pool, post] : pools_) {
    if (pool == &asking) continue;
    post([pool = pool, endpoint, idle_before] { pool->make_room(*endpoint, idle_before); });
  }
}

}  // namespace signalbox::http
