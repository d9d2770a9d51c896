// What the actor shells share: the timer for their cores' deadlines, and how an exception ends one.
#pragma once

#include <algorithm>
#include <caf/all.hpp>
#include <set>
#include <string>
#include <utility>

#include "actors/messages.hpp"

namespace signalbox {

// Sends its actor a `tick` at the earliest time it was armed for. CAF cannot take a delayed message
// back, so those that turn out too late are remembered and used instead of sending another one:
// whatever is pending was the earliest when it was armed.
class tick_timer {
 public:
  template <class Actor>
  void arm(Actor* self, time_point when) {
    if (when == never) return;
    if (!pending_.empty() && *pending_.begin() <= when) return;
    pending_.insert(when);
    self->scheduled_send(self, when, tick{});
  }

  // To be called on every tick, first.
  void fired(time_point now) { pending_.erase(pending_.begin(), pending_.upper_bound(now)); }

 private:
  std::set<time_point> pending_;
};

// How long a store waits before it tries a database again that was away.
class retry_backoff {
 public:
  duration failed() { return std::exchange(next_, std::min<duration>(2 * next_, longest)); }
  void succeeded() { next_ = first; }

 private:
  static constexpr duration first = std::chrono::milliseconds(500);
  static constexpr duration longest = std::chrono::seconds(5);
  duration next_ = first;
};

// An exception in a handler is logged and ends the actor; the supervisor starts a new one.
void end_on_exception(caf::scheduled_actor* self, std::string name);

// Whether it runs under a lease of GPU memory; an exclusive model does, whatever it declares.
inline bool needs_lease(const config::model_options& m) {
  return m.gpu_memory > 0 || m.residency == config::residency::exclusive;
}

}  // namespace signalbox
