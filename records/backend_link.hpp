// What all shards share about their connections to one run of a backend, and find out about it.
// Thread-safe; a connection and a request read it, and none of its numbers orders anything else.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <mutex>
#include <string>

#include "scheduling/types.hpp"

namespace signalbox {

class backend_link {
 public:
  // Set by the backend, while shards use it, too.
  void set_rules(std::uint32_t most_connections, duration keep_idle) {
    most_.store(most_connections, std::memory_order_relaxed);
    keep_idle_.store(keep_idle.count(), std::memory_order_relaxed);
  }
  duration keep_idle() const { return duration(keep_idle_.load(std::memory_order_relaxed)); }

  // Each connection counts from before it is opened until it is closed.
  void opened() { open_.fetch_add(1, std::memory_order_relaxed); }
  void closed() { open_.fetch_sub(1, std::memory_order_relaxed); }
  std::uint32_t open() const { return open_.load(std::memory_order_relaxed); }

  // Returns whether idle ones have to be closed.
  bool has_too_many() const { return open() > most_.load(std::memory_order_relaxed); }

  // The host has another address. Connections to the old one are not used again.
  void move_to(const std::string& address) {
    const std::lock_guard lock(mutex_);
    address_ = address;
    moves_.fetch_add(1, std::memory_order_relaxed);
  }
  std::uint32_t moves() const { return moves_.load(std::memory_order_relaxed); }
  std::string address() const {  // empty: it has not moved
    const std::lock_guard lock(mutex_);
    return address_;
  }

  // The runtime has sent bytes that no request asked for. Returns whether this is the first time.
  bool note_unasked_bytes() { return !sends_unasked_.exchange(true, std::memory_order_relaxed); }
  bool sends_unasked() const { return sends_unasked_.load(std::memory_order_relaxed); }

  // A connection failed. The runtime may be dying with its listener still open for some
  // milliseconds, so nothing should be sent there for a moment: its queue has called its credits
  // back by then.
  void suspect(time_point now) {
    suspect_until_.store((now + suspicion).time_since_epoch().count(), std::memory_order_relaxed);
  }
  bool is_suspect(time_point now) const {
    return now.time_since_epoch().count() < suspect_until_.load(std::memory_order_relaxed);
  }

  // The runtime refuses requests that ask for the usage of a stream.
  void note_refused_usage() { refuses_usage_.store(true, std::memory_order_relaxed); }
  bool refuses_usage() const { return refuses_usage_.load(std::memory_order_relaxed); }

 private:
  static constexpr auto suspicion = std::chrono::milliseconds(100);

  std::atomic<std::uint32_t> most_{std::numeric_limits<std::uint32_t>::max()};
  std::atomic<duration::rep> keep_idle_{std::chrono::nanoseconds(std::chrono::seconds(1)).count()};
  std::atomic<duration::rep> suspect_until_{0};
  std::atomic<std::uint32_t> open_{0}, moves_{0};
  std::atomic<bool> sends_unasked_{false}, refuses_usage_{false};
  mutable std::mutex mutex_;
  std::string address_;
};

}  // namespace signalbox
