// Decides whether a runtime hangs. A deadline that passes without a byte of an answer may be the
// request's own doing, such as a long prompt, and a refused connection may be the last one. Each of
// them only raises a suspicion: the runtime's health is checked again and again until one check
// succeeds or the runtime is given up. Rules, all of which end when a check succeeds:
//   hung: `deadlines_to_hang` deadlines passed in a row (or patient clients left), without a byte
//     of that runtime between them, since then `checks_to_hang` checks in a row failed and no byte
//     came, and it has said nothing for longer than a request may wait for its first byte.
//     Meanwhile nothing should be sent: it would only wait for its own deadline.
//   refused: connections are refused. Nothing should be sent until a check has succeeded. When no
//     check did for `refused_for_long`, nor came a byte on an old connection, the runtime is lost:
//     it finishes what it has and is given up.
// A runtime that answers its checks, or says anything to anybody, is never given up.
#pragma once

#include <cstdint>

#include "scheduling/shard_report.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// Watches one run of a runtime that serves. Each run begins with a new one.
class runtime_watch {
 public:
  static constexpr std::uint32_t deadlines_to_hang = 2;
  static constexpr std::uint32_t checks_to_hang = 3;
  static constexpr duration refused_for_long = std::chrono::seconds(10);
  static constexpr duration check_gap = std::chrono::milliseconds(500);
  // A driver answers sooner. A check without an answer by then was lost, and is made again.
  static constexpr duration check_timeout = std::chrono::seconds(30);

  void note(const runtime_signs& signs, time_point now) {
    if (signs.heard || heard_at_ == time_point{}) heard_at_ = now;
    if (signs.heard) {
      deadlines_ = failed_checks_ = 0;
      refused_since_ = now;
    }
    // What failed before the last of the deadlines proves nothing.
    const bool was_enough = awaits_verdict();
    deadlines_ += signs.deadlines;
    if (!was_enough && awaits_verdict()) failed_checks_ = 0;
    if (signs.refused && !is_refused_) {
      is_refused_ = true;
      refused_since_ = now;
    }
  }

  // Returns whether the runtime should be checked now. The answer goes to checked().
  bool begin_check(time_point now) {
    if (now < next_check()) return false;
    next_check_ = now + check_timeout;
    return true;
  }
  void checked(bool is_healthy, time_point now) {
    next_check_ = now + check_gap;
    if (!is_healthy) {
      ++failed_checks_;
      return;
    }
    deadlines_ = failed_checks_ = 0;
    is_refused_ = false;
  }
  // `never` while nothing is suspected.
  time_point next_check() const { return deadlines_ > 0 || is_refused_ ? next_check_ : never; }

  // The next checks decide whether it hangs.
  bool awaits_verdict() const { return deadlines_ >= deadlines_to_hang; }
  bool is_refused() const { return is_refused_; }
  // Nothing should be sent now.
  bool holds_requests() const { return is_refused_ || awaits_verdict(); }
  // `patience`: the time for which a runtime that works may say nothing to anybody.
  bool is_hung(time_point now, duration patience) const {
    return awaits_verdict() && failed_checks_ >= checks_to_hang && now - heard_at_ >= patience;
  }
  bool is_lost(time_point now) const {
    return is_refused_ && failed_checks_ > 0 && now - refused_since_ >= refused_for_long;
  }
  std::uint32_t deadlines() const { return deadlines_; }  // in a row

 private:
  std::uint32_t deadlines_ = 0;      // since the last byte
  std::uint32_t failed_checks_ = 0;  // in a row
  bool is_refused_ = false;
  time_point refused_since_{};  // or since the last byte
  time_point next_check_{};
  time_point heard_at_{};  // the last byte; before that: the first sign
};

}  // namespace signalbox::scheduling
