// Decides what a backend does next. Its states are stopped, waiting for its lease, starting, ready,
// draining, stopping and failed (backing off). Each backend has one such object, which its
// model_backend actor owns.
//
//   stopped ── ensure_ready ──▶ awaiting_lease ── granted ──▶ starting ── ready ──▶ ready
//   ready ── asked back, idle, stop ──▶ draining ── drained, timeout ──▶ stopping
//   starting ── asked back, stop ──▶ stopping ── released ──▶ stopped
//   awaiting_lease ── refused ──▶ failed
//   starting, ready, draining ── exit, start timeout, hung ──▶ stopping ── released ──▶ failed
//   failed ── backoff over ──▶ awaiting_lease, or stopped when nobody waits
//
// A failed backend becomes stopped when its backoff is over and nobody waits. After load_attempts
// failures in a row it stays failed, for people to see, until somebody asks for the model again.
//
// Rule backoff: after each failure in a row the pause before the next start doubles, up to
// max_backoff. After load_attempts failures in a row, requests are refused until the pause is over
// (an open circuit breaker); then one more start is tried. A failed backend holds no lease. The row
// ends when a runtime has served a request, or was ready for as long as the longest pause.
//
// An external runtime is started by somebody else, so that looking for it again costs nothing: its
// pauses do not double. Once it was seen to fail, requests are refused until it is ready again, but
// for those of clients who said how long they wait.
//
// A runtime that serves is watched by what requests notice of it (runtime_watch). Its queue is
// closed while it is not known to be healthy; of itself when a connection is refused. A runtime
// that hangs is killed without a grace; one that refuses connections for long is drained before.
//
// An operator's order to start is not delayed by a backoff. It ends when the backend is ready, when
// the start fails, when a stop overrules it, or when no lease was granted within start_timeout.
//
// What a request says of the idle unload replaces idle_unload until another one says it, or the
// backend starts anew.
//
// The lease is released only after `runtime_released`, which says that the process tree is gone.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "scheduling/gpu_set.hpp"
#include "scheduling/lifecycle_state.hpp"
#include "scheduling/runtime_watch.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// The timeouts of one backend and the policy of its restarts.
struct lifecycle_options {
  bool needs_lease = true;  // false: the model declares no GPU memory
  duration start_timeout = std::chrono::seconds(120);
  duration stop_grace = std::chrono::seconds(10);
  duration drain_timeout = std::chrono::seconds(60);
  duration idle_unload = duration::zero();  // zero: never
  duration backoff = std::chrono::seconds(1);
  duration max_backoff = std::chrono::seconds(60);
  std::uint32_t load_attempts = 3;  // failures in a row until waiting tickets are refused
  duration expected_load = std::chrono::seconds(10);  // until a load was measured
  duration silence = duration::zero();  // a runtime that says nothing for less does not hang
  bool pinned = false;                  // always wanted; it starts again by itself until stop()
  bool external = false;                // somebody else starts it; see the top of this file
};

// How far the last order to start has come.
enum class start_order : std::uint8_t { none, going_on, done, failed, no_room, overruled };

// Returns idle_unload as model_lifecycle::keep_loaded() takes it.
constexpr duration usual_keep(duration idle_unload) {
  return idle_unload > duration::zero() ? idle_unload : duration(-1);
}

// Effects, which the actor carries out in order.
struct ask_for_lease {};
struct stop_asking {};  // withdraws ask_for_lease
struct give_lease_back {
  fencing_token token;
};
struct start_runtime {
  fencing_token token;
  gpu_set gpus;  // of the lease; empty without one
  std::uint64_t incarnation;
};
// SIGTERM, then SIGKILL after the grace; without a grace SIGKILL at once.
struct stop_runtime {
  duration grace;
};
// Asks whether the runtime that serves is healthy; runtime_checked() gets the answer.
struct check_runtime {};
// The runtime is ready: the queue may grant permits for it.
struct admit_requests {};
// The queue grants no more permits, and answers queue_drained when nothing is in flight.
struct drain_requests {};
// An idle queue closes and answers queue_drained; any other stays open and answers queue_not_idle.
struct drain_if_idle {};
// The queue refuses the tickets that wait, and new ones for this time. With `until_ready` it does
// so until admit_requests, and spares those whose clients said how long they wait.
struct refuse_requests {
  refusal why;
  duration retry_after;
  bool until_ready;
};
// The runtime's end, for log, crash_log and metrics.
struct record_exit {
  exit_reason reason;
  bool is_crash;
};
// The time that a start took, for metrics and the estimate.
struct loaded {
  duration took;
};

using lifecycle_effect = std::variant<ask_for_lease, stop_asking, give_lease_back, start_runtime,
                                      stop_runtime, check_runtime, admit_requests, drain_requests,
                                      drain_if_idle, refuse_requests, record_exit, loaded>;
using lifecycle_effects = std::vector<lifecycle_effect>;

// The life of one backend, through all its starts.
class model_lifecycle {
 public:
  explicit model_lifecycle(lifecycle_options options);

  // What has begun keeps its deadline. Neither needs_lease nor pinned may change.
  void set_options(const lifecycle_options& options);
  lifecycle_effects ensure_ready(time_point now);  // a request waits, or it is pinned; idempotent
  // An order to be ready, whoever waits: see the top of this file. `ordered()` tells how it ends.
  lifecycle_effects order_start(time_point now);
  lifecycle_effects stop(time_point now);  // an order: drain, stop, stay stopped
  // The same as stop(), but requests in flight are cut off.
  lifecycle_effects stop_at_once(time_point now);
  // The same as stop(), but a ready backend first serves until its queue is idle, so that no
  // request is cut off.
  lifecycle_effects stop_when_idle(time_point now);
  lifecycle_effects lease_granted(fencing_token token, const gpu_set& gpus, time_point now);
  lifecycle_effects lease_refused(refusal why, time_point now);
  // The lease is asked back: the backend drains, stops and releases it. Any token but that of the
  // held lease is ignored. By an order it also stays stopped, as after stop().
  lifecycle_effects lease_asked_back(fencing_token token, time_point now, bool by_order = false);
  lifecycle_effects queue_drained(time_point now);
  lifecycle_effects queue_not_idle(time_point now);
  // Events of a runtime carry its incarnation; those of an older one are ignored.
  lifecycle_effects runtime_ready(std::uint64_t incarnation, time_point now);
  lifecycle_effects runtime_exited(std::uint64_t incarnation, exit_reason reason, time_point now);
  lifecycle_effects runtime_released(std::uint64_t incarnation, time_point now);
  // Requests noticed this of the runtime.
  lifecycle_effects runtime_noticed(const runtime_signs& signs, time_point now);
  // The answer to check_runtime. An external runtime that is not ready and cannot be reached tells
  // that unasked.
  lifecycle_effects runtime_checked(std::uint64_t incarnation, bool is_healthy, time_point now);
  // The queue reports when a request last waited or was in flight, and whether one waits now. When
  // none waits, earlier calls of ensure_ready() are forgotten.
  lifecycle_effects activity(time_point last_active, bool waiting, time_point now);
  // A request wants the backend to stay loaded without work for so long; below zero: for ever. It
  // counts once a start has begun, and never for a pinned or an external one.
  lifecycle_effects keep_loaded(duration idle) {
    if (state_ == lifecycle_state::starting || serves()) kept_loaded_ = idle;
    return {};
  }
  lifecycle_effects advance(time_point now);  // handles timeouts, end of backoff, idle unload
  time_point next_deadline() const;           // when to call advance(); `never`: not needed

  lifecycle_state state() const { return state_; }
  // The state for people and for those who watch it. An external runtime that was seen to fail is
  // looked for at once, and has failed until it is ready again.
  lifecycle_state shown_state() const {
    const bool is_sought = state_ == lifecycle_state::starting && refuses_until_ready_;
    return is_sought ? lifecycle_state::failed : state_;
  }
  start_order ordered() const { return ordered_; }
  bool refuses_until_ready() const { return refuses_until_ready_; }
  // It is ready, and its queue may be open.
  bool may_admit() const { return state_ == lifecycle_state::ready && !watch_.holds_requests(); }
  std::uint64_t incarnation() const { return incarnation_; }  // of the current or last start
  fencing_token token() const { return token_; }              // 0: no lease held
  const gpu_set& gpus() const { return gpus_; }  // of the current start, or the last one
  // Loads or serving runs that failed in a row.
  std::uint32_t failures() const { return failures_; }
  // Empty: none failed.
  std::optional<exit_reason> last_failure() const { return last_failure_; }
  const runtime_watch& watch() const { return watch_; }      // of the current or last start
  duration load_estimate() const { return load_estimate_; }  // EWMA of measured load times
  // Time until it can be ready, if asked now: the rest of the load and of the backoff.
  duration ready_in(time_point now) const;
  // When a backend that is ready unloads, if no request comes; `never`: it stays, or is not ready.
  time_point unload_at() const;

 private:
  bool wanted() const {
    return wanted_ || is_start_ordered() || (options_.pinned && !ordered_stop_);
  }
  bool is_start_ordered() const { return ordered_ == start_order::going_on; }
  void end_order(start_order how) {
    if (is_start_ordered()) ordered_ = how;
  }
  bool serves() const {
    return state_ == lifecycle_state::ready || state_ == lifecycle_state::draining;
  }
  bool breaker_open() const { return refused_.has_value() || failures_ >= options_.load_attempts; }
  void begin(lifecycle_effects& out, time_point now);
  void begin_start(fencing_token token, const gpu_set& gpus, lifecycle_effects& out,
                   time_point now);
  void begin_drain(lifecycle_effects& out, time_point now);
  void ask_if_idle(lifecycle_effects& out, time_point now) {
    asked_idle_ = true;
    asked_idle_at_ = now;
    out.push_back(drain_if_idle{});
  }
  time_point next_idle_question() const;
  void end_drain(lifecycle_effects& out, time_point now);
  void stop_now(duration grace, lifecycle_effects& out);
  void follow_watch(bool could_admit, lifecycle_effects& out);
  void check_if_due(lifecycle_effects& out, time_point now) {
    if (watch_.begin_check(now)) out.push_back(check_runtime{});
  }
  void give_up_hung(lifecycle_effects& out, time_point now);
  void begin_failure(exit_reason reason, time_point now);
  void fail(exit_reason reason, lifecycle_effects& out, time_point now);
  void back_off(lifecycle_effects& out, time_point now);
  void refuse(lifecycle_effects& out, time_point now);
  // Forgets earlier failures once the runtime has been ready for longer than the longest backoff; a
  // request that was served has them forgotten, too. Becoming ready is not enough: a runtime that
  // dies on its first request would be restarted for ever.
  void forget_failures_if_proven(time_point now) {
    if (now - ready_since_ >= options_.max_backoff) failures_ = 0;
  }

  lifecycle_options options_;
  lifecycle_state state_ = lifecycle_state::stopped;
  std::uint64_t incarnation_ = 0;
  fencing_token token_ = 0;
  gpu_set gpus_;
  std::uint32_t failures_ = 0;
  std::optional<exit_reason> last_failure_;
  std::optional<refusal> refused_;  // why the lease was refused; no retry before retry_at_
  runtime_watch watch_;
  duration load_estimate_{};
  bool load_measured_ = false;
  time_point started_at_{};
  time_point ready_since_{};
  time_point deadline_ = never;   // when starting or draining has taken too long
  time_point lease_due_ = never;  // an ordered start gives up waiting for its lease
  start_order ordered_ = start_order::none;
  time_point retry_at_{};  // failed: no start before this
  time_point last_active_{};
  std::optional<duration> kept_loaded_;  // by a request, see keep_loaded()
  time_point asked_idle_at_{};           // the time of the last drain_if_idle
  bool wanted_ = false;                  // a request waits: start (again) as soon as possible
  bool ordered_stop_ = false;            // a stop was ordered, and nobody asked for the model since
  bool stops_when_idle_ = false;         // stop_when_idle() was called while it was ready
  bool exit_recorded_ = false;           // the exit of this incarnation
  bool failing_ = false;                 // stopping because of last_failure_: back off afterwards
  bool asked_idle_ = false;              // drain_if_idle is not answered yet
  bool is_drained_ = false;              // draining: only the verdict of the watch is waited for
  bool refuses_until_ready_ = false;     // the queue was told so; external only
};

}  // namespace signalbox::scheduling
