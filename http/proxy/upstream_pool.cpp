#include "http/proxy/upstream_pool.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "http/serve/polled_socket.hpp"

namespace signalbox::http {

namespace asio = boost::asio;

namespace {

// A new connection that has heard nothing for so long may be waiting for a thread of the runtime.
// Most often the runtime only thinks, so it is asked less and less often whether that is so.
constexpr auto unheard_time = std::chrono::milliseconds(20);
constexpr auto longest_gap = std::chrono::seconds(1);

// What was idle for less is about to be used again where there are many requests.
constexpr auto idle_moment = std::chrono::milliseconds(10);

}  // namespace

upstream_pool::upstream_pool(asio::io_context& io, const upstream_pools* all)
    : io_(io), all_(all), timer_(io) {}

upstream_pool::~upstream_pool() {
  close_all();
}

upstream_connection_ptr upstream_pool::take(const endpoint_ptr& endpoint, bool fresh) {
  const auto [entry, is_new] = slots_.try_emplace(endpoint->backend);
  auto& slot = entry->second;
  if (is_new) {
    // Backends that are gone have left their entries.
    std::erase_if(slots_, [&](const auto& other) {
      return other.first != endpoint->backend && other.second.idle.empty();
    });
  }
  if (endpoint->incarnation > slot.incarnation) {
    auto old = std::exchange(slot.idle, {});
    for (auto& connection : old) {
      connection->pooled_ = false;
      connection->abandon();
    }
    slot.incarnation = endpoint->incarnation;
  }
  if (fresh || endpoint->incarnation < slot.incarnation) return open(endpoint);
  while (!slot.idle.empty()) {
    auto connection = std::move(slot.idle.back());
    slot.idle.pop_back();
    connection->become_busy();
    // A read that has ended, though nobody was told yet, has read what no request asked for.
    if (connection->is_trusted() && connection->socket_.waits_for_bytes()) return connection;
    connection->abandon();
  }
  return open(endpoint);
}

upstream_connection_ptr upstream_pool::open(const endpoint_ptr& endpoint) {
  auto opened = std::make_shared<upstream_connection>(io_, *this, endpoint);
  if (endpoint->link->has_too_many()) ask_for_room(endpoint, time_point::min());
  // With TLS a new connection costs much, and what ends it there has threads enough.
  if (!endpoint->trust) {
    const auto now = std::chrono::steady_clock::now();
    new_.push_back({opened, now, now + unheard_time});
    if (new_.size() == 1) wait_for_new();
  }
  return opened;
}

void upstream_pool::look() {
  asio::use_service<socket_poller>(io_).look();
}

void upstream_pool::put_back(upstream_connection_ptr connection) {
  auto& slot = slots_[connection->endpoint_->backend];
  if (connection->endpoint_->incarnation != slot.incarnation) return connection->abandon();
  connection->become_idle(std::chrono::steady_clock::now());
  slot.idle.push_back(std::move(connection));
}

void upstream_pool::forget(const upstream_connection& connection) {
  const auto slot = slots_.find(connection.endpoint_->backend);
  if (slot == slots_.end()) return;
  auto& idle = slot->second.idle;
  std::erase_if(idle, [&](const auto& other) { return other.get() == &connection; });
}

void upstream_pool::make_room(const backend_endpoint& endpoint, time_point idle_before) {
  const auto slot = slots_.find(endpoint.backend);
  if (slot == slots_.end()) return;
  auto& idle = slot->second.idle;  // the oldest first
  while (!idle.empty() &&
         (idle.front()->idle_since() < idle_before || endpoint.link->has_too_many())) {
    const auto oldest = std::move(idle.front());
    idle.erase(idle.begin());
    oldest->pooled_ = false;
    oldest->abandon();
  }
}

void upstream_pool::ask_for_room(const endpoint_ptr& endpoint, time_point idle_before) {
  make_room(*endpoint, idle_before);
  if (all_ != nullptr) all_->make_room(*this, endpoint, idle_before);
}

void upstream_pool::wait_for_new() {
  timer_.expires_after(unheard_time);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) check_new(std::chrono::steady_clock::now());
  });
}

void upstream_pool::check_new(time_point now) {
  std::erase_if(new_, [](const new_connection& one) {
    const auto connection = one.connection.lock();
    return !connection || !connection->is_unheard();
  });
  std::set<endpoint_ptr> asked;
  for (auto& one : new_) {
    const auto connection = one.connection.lock();
    if (!connection || now < one.next_look) continue;
    one.next_look = now + std::min<duration>(now - one.since, longest_gap);
    const auto& endpoint = connection->endpoint_;
    if (asked.insert(endpoint).second) ask_for_room(endpoint, now - idle_moment);
  }
  if (!new_.empty()) wait_for_new();
}

void upstream_pool::close_all() {
  const auto all = std::exchange(slots_, {});
  for (const auto& [backend, slot] : all) {
    for (const auto& connection : slot.idle) {
      connection->pooled_ = false;
      connection->abandon();
    }
  }
}

}  // namespace signalbox::http
