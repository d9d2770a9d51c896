// Which models take no new requests, because an operator said so. It holds until it is taken back,
// or the process ends.
#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace signalbox::http {

// Thread-safe. While nothing is drained, looking costs one load.
class drain_switch {
 public:
  struct state {
    bool is_all = false;              // whatever the model
    std::vector<std::string> models;  // by name, beside that
  };

  void set_all(bool is_drained) {
    const std::lock_guard lock(mutex_);
    is_all_ = is_drained;
    tell();
  }

  void set(const std::string& model, bool is_drained) {
    const std::lock_guard lock(mutex_);
    if (is_drained) {
      models_.insert(model);
    } else {
      models_.erase(model);
    }
    tell();
  }

  bool is_drained(std::string_view model) const {
    if (!is_any_.load(std::memory_order_relaxed)) return false;
    const std::lock_guard lock(mutex_);
    return is_all_ || models_.contains(model);
  }

  state now() const {
    const std::lock_guard lock(mutex_);
    return {is_all_, {models_.begin(), models_.end()}};
  }

 private:
  void tell() { is_any_.store(is_all_ || !models_.empty(), std::memory_order_relaxed); }

  mutable std::mutex mutex_;
  std::atomic<bool> is_any_{false};
  bool is_all_ = false;
  std::set<std::string, std::less<>> models_;
};

}  // namespace signalbox::http
