// Helpers that actors share: a timer for the deadlines of their cores, the backoff of stores, and
// the handling of exceptions.
#pragma once

#include <algorithm>
#include <caf/all.hpp>
#include <set>
#include <string>
#include <utility>

#include "actors/messages.hpp"

namespace signalbox {

// Sends its actor a `tick` at the earliest time that it was armed for. CAF cannot take back a
// delayed message, so pending ticks are remembered, and another is sent only if it would come
// before all of them. The actor must arm the timer again on every tick.
class tick_timer {
 public:
  template <class Actor>
  void arm(Actor* self, time_point when) {
    if (when == never) return;
    if (!pending_.empty() && *pending_.begin() <= when) return;
    pending_.insert(when);
    self->scheduled_send(self, when, tick{});
  }

  // Call this first on every tick.
  void fired(time_point now) { pending_.erase(pending_.begin(), pending_.upper_bound(now)); }

 private:
  std::set<time_point> pending_;
};

// The time that a store waits before it tries again to reach the database: it doubles from 0.5 s to
// 5 s.
class retry_backoff {
 public:
  duration failed() { return std::exchange(next_, std::min<duration>(2 * next_, longest)); }
  void succeeded() { next_ = first; }

 private:
  static constexpr duration first = std::chrono::milliseconds(500);
  static constexpr duration longest = std::chrono::seconds(5);
  duration next_ = first;
};

// Makes an exception in a handler end the actor, with a log line. The supervisor starts a new one.
void end_on_exception(caf::scheduled_actor* self, std::string name);

// Tells whether the model runs under a lease of GPU memory. An exclusive one always does.
inline bool needs_lease(const config::model_options& m) {
  return m.gpu_memory > 0 || m.residency == config::residency::exclusive;
}

}  // namespace signalbox
