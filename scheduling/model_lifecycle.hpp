// What a backend does next: stopped, waiting for its lease, starting, ready, draining, stopping,
// failed (backing off). One object for each backend, owned by its model_backend actor.
//
//   stopped ─ensure_ready→ awaiting_lease ─granted→ starting ─ready→ ready ─yield/idle→ draining
//      ▲                        │refused               │exit/timeout   │exit │drained/timeout │ ▼
//      ▼               ▼                  ▼ └──released── failed ◀──────────────────── stopping
//      ◀──────────────────────── stopping
//
// A failure is over when its backoff is and nobody waits: failed becomes stopped. After
// load_attempts of them in a row it stays, for people to see, until somebody asks again.
//
// The lease is released only after `runtime_released`: the process tree is seen gone.
#pragma once

#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "scheduling/gpu_set.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

enum class lifecycle_state : std::uint8_t {
  stopped,
  awaiting_lease,
  starting,
  ready,
  draining,
  stopping,
  failed
};
std::string_view to_string(lifecycle_state value);

// How a runtime ended. `asked`: we stopped it, whatever its exit status says.
enum class exit_reason : std::uint8_t {
  asked,
  crashed,
  oom,
  segfault,
  start_failed,
  start_timeout
};
std::string_view to_string(exit_reason value);

struct lifecycle_options {
  bool needs_lease = true;  // false: no GPU memory declared
  duration start_timeout = std::chrono::seconds(120);
  duration stop_grace = std::chrono::seconds(10);
  duration drain_timeout = std::chrono::seconds(60);
  duration idle_unload = duration::zero();  // zero: never
  duration backoff = std::chrono::seconds(1);
  duration backoff_max = std::chrono::seconds(60);
  std::uint32_t load_attempts = 3;  // failures in a row until waiting tickets are refused
  duration expected_load = std::chrono::seconds(10);  // first guess
  bool pinned = false;  // always wanted: starts again by itself, until stop()
};

// Effects, for the actor to carry out in order.
struct acquire_lease {};
struct withdraw_acquire {};  // not wanted any more
struct release_lease {
  fencing_token token;
};
struct start_runtime {
  fencing_token token;
  gpu_set gpus;  // of the lease; none without one
  std::uint64_t incarnation;
};
struct stop_runtime {
  duration grace;
};                      // SIGTERM, then SIGKILL after the grace; grace 0: SIGKILL
struct open_queue {};   // ready: grant permits to it
struct close_queue {};  // not ready; answer queue_drained when nothing is in flight
// only_if_idle: the queue answers queue_drained, or queue_not_idle and stays open.
struct close_queue_if_idle {};
struct refuse_waiting {
  refusal why;
  duration retry_after;
};  // and new ones, until open
struct record_exit {
  exit_reason reason;
  bool is_crash;
};  // to log, crash_log and metrics
struct loaded {
  duration took;
};  // for metrics and the estimate

using lifecycle_effect =
    std::variant<acquire_lease, withdraw_acquire, release_lease, start_runtime, stop_runtime,
                 open_queue, close_queue, close_queue_if_idle, refuse_waiting, record_exit, loaded>;
using lifecycle_effects = std::vector<lifecycle_effect>;

class model_lifecycle {
 public:
  explicit model_lifecycle(lifecycle_options options);

  lifecycle_effects ensure_ready(time_point now);  // somebody waits (or it is pinned); idempotent
  lifecycle_effects stop(time_point now);          // an order: drain, stop, stay stopped
  // The same, but while it is ready it serves until the queue has nothing: nobody is cut off.
  lifecycle_effects stop_when_idle(time_point now);
  lifecycle_effects lease_granted(fencing_token token, const gpu_set& gpus, time_point now);
  lifecycle_effects lease_refused(refusal why, time_point now);
  // The lease is asked back: drain, stop, release. A token that is not the held one is ignored
  // (fencing).
  lifecycle_effects yield(fencing_token token, time_point now);
  lifecycle_effects queue_drained(time_point now);
  lifecycle_effects queue_not_idle(time_point now);
  // Events of the runtime carry the incarnation they belong to; those of an older one are ignored.
  lifecycle_effects runtime_ready(std::uint64_t incarnation, time_point now);
  lifecycle_effects runtime_exited(std::uint64_t incarnation, exit_reason reason, time_point now);
  lifecycle_effects runtime_released(std::uint64_t incarnation, time_point now);
  // What the queue says of itself: when something was last in use or waiting; is anything waiting?
  // In order with ensure_ready: "nothing waits" takes back those that came before it.
  lifecycle_effects activity(time_point last_active, bool waiting, time_point now);
  lifecycle_effects advance(time_point now);  // timeouts, backoff, idle unload
  time_point next_deadline() const;           // `never`: nothing to wait for

  lifecycle_state state() const;
  std::uint64_t incarnation() const;  // of the current or last start
  fencing_token token() const;        // 0: no lease held
  std::uint32_t failures() const;     // loads or serving runs that failed in a row
  duration load_estimate() const;     // EWMA of measured load times
  // Until it can be ready, if asked now: rest of the load, rest of the backoff.
  duration ready_in(time_point now) const;

 private:
  bool wanted() const { return wanted_ || (options_.pinned && !ordered_stop_); }
  bool breaker_open() const { return refused_.has_value() || failures_ >= options_.load_attempts; }
  void begin(lifecycle_effects& out, time_point now);
  void begin_start(fencing_token token, const gpu_set& gpus, lifecycle_effects& out,
                   time_point now);
  void begin_drain(lifecycle_effects& out, time_point now);
  void ask_if_idle(lifecycle_effects& out, time_point now);
  time_point next_idle_question() const;
  void stop_now(duration grace, lifecycle_effects& out);
  void fail(exit_reason reason, lifecycle_effects& out, time_point now);
  void enter_failed(lifecycle_effects& out, time_point now);
  void refuse(lifecycle_effects& out, time_point now) const;
  void forget_failures_if_proven(time_point now);

  lifecycle_options options_;
  lifecycle_state state_ = lifecycle_state::stopped;
  std::uint64_t incarnation_ = 0;
  fencing_token token_ = 0;
  std::uint32_t failures_ = 0;
  std::optional<refusal> refused_;  // the lease was: nothing to retry before retry_at_
  duration load_estimate_{};
  bool load_measured_ = false;
  time_point started_at_{};
  time_point ready_since_{};
  time_point deadline_ = never;  // starting, draining: when it has taken too long
  time_point retry_at_{};        // failed: no start before
  time_point last_active_{};
  time_point asked_idle_at_{};    // the last close_queue_if_idle
  time_point idle_answer_by_{};   // close_queue_if_idle not answered: drain
  bool wanted_ = false;           // somebody waits: start (again) as soon as possible
  bool ordered_stop_ = false;     // stop() is not over, or nobody asked for it since
  bool stops_when_idle_ = false;  // ordered so, while ready
  bool exit_recorded_ = false;    // of this incarnation
  bool failing_ = false;          // stopping because of a failure: back off afterwards
  bool asked_idle_ = false;       // close_queue_if_idle is under way
};

}  // namespace signalbox::scheduling
