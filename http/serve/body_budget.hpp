// The memory for request bodies, of all shards together. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace signalbox::http {

class body_budget;

// Bytes of the budget that a body has until this is destroyed. It must not outlive its budget.
class body_share {
 public:
  body_share() = default;
  explicit body_share(body_budget& home) : home_(&home) {}
  body_share(body_share&& other) noexcept
      : home_(std::exchange(other.home_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  body_share& operator=(body_share&& other) noexcept {
    std::swap(home_, other.home_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~body_share();

  std::uint64_t bytes() const { return bytes_; }
  bool grow(std::uint64_t bytes);  // false, and nothing is taken: there is not so much left

 private:
  body_budget* home_ = nullptr;
  std::uint64_t bytes_ = 0;
};

class body_budget {
 public:
  explicit body_budget(std::uint64_t bytes) : bytes_(bytes) {}
  body_budget(const body_budget&) = delete;

  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  friend class body_share;

  const std::uint64_t bytes_;
  std::atomic<std::uint64_t> used_{0};
};

inline body_share::~body_share() {
  if (bytes_ > 0) home_->used_.fetch_sub(bytes_, std::memory_order_relaxed);
}

inline bool body_share::grow(std::uint64_t bytes) {
  auto used = home_->used();
  do {
    if (bytes > home_->bytes_ - used) return false;
  } while (!home_->used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  bytes_ += bytes;
  return true;
}

}  // namespace signalbox::http
