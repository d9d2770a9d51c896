// Decides when the trainer runs. The machine has one such object, which the training_monitor actor
// owns. The trainer is a container or a process of the user's: we start and stop it.
//
//   idle ── select, start ──▶ awaiting_lease ── granted ──▶ starting ── seen running ──▶ running
//   running ── request, asked back, stop, clear ──▶ saving ── saved, time over ──▶ stopping
//   stopping ── seen ended ──▶ waiting (to start again), or idle (not selected, or held)
//   waiting ── cooldown and backoff over, no request in flight ──▶ awaiting_lease
//   starting, running ── ended by itself ──▶ waiting (it crashed) or idle (stopped by hand)
//   running ── frozen ──▶ stopping ──▶ waiting
//   a trainer that we did not start ──▶ adopting ── granted ──▶ running; not granted ──▶ stopping
//
// Rules:
//   selected: it runs only while a checkpoint folder is selected. One that runs without is stopped.
//     The selection outlives the gateway: it is persisted before anything is done about it.
//   finished: when its status says so, it is stopped and the selection cleared, whatever we waited
//     for.
//   yield: it gives way to each request that needs a GPU, or, if `yields_to_requests` is false,
//     only when its lease is asked back. It is started again `cooldown` after the last such request
//     has ended; a new one begins the wait anew.
//   frozen: its status says `training` while `time` was not seen to change for longer than
//     `frozen_timeout`. What counts is our clock, and looks at a status that could be read: a clock
//     that is wrong matters as little as a disk that does not answer. Only a trainer that runs is
//     judged.
//   by_hand: one that ends without our order and without an OOM kill, with 0, 130, 137 or 143, was
//     stopped by a person and is held: it stays stopped until it is selected again, or started, by
//     hand or by order.
//   backoff: any other end is a crash. The pause before the next start doubles with each failure in
//     a row, up to max_backoff. The row ends when a run has lasted that long, or by an order.
//   save: before it is stopped, it may save. It is asked to, and stopped once its status says
//     `saved`, or after `checkpoint_wait`. A frozen one is not asked.
//
// It is started under a lease, which is released only when it was seen to have ended. One that was
// started by others, or before this gateway, keeps running while a lease is asked for, for at most
// `adopt_wait`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "scheduling/gpu_set.hpp"
#include "scheduling/lifecycle_state.hpp"
#include "scheduling/model_lifecycle.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

struct training_options {
  duration frozen_timeout = std::chrono::seconds(300);
  duration cooldown = std::chrono::seconds(600);
  duration checkpoint_wait = duration::zero();  // zero: it is not asked to save
  duration stop_grace = std::chrono::seconds(20);
  duration start_timeout = std::chrono::seconds(60);  // from the order until it is seen to run
  duration adopt_wait = std::chrono::seconds(30);
  duration backoff = std::chrono::seconds(10);
  duration max_backoff = std::chrono::minutes(10);
  bool yields_to_requests = true;  // false: it needs less than all memory, and stops for room only
};

// What is persisted.
struct training_selection {
  std::string folder;      // of checkpoints; empty: none is selected
  bool is_held = false;    // stopped by hand or by order: it is not started
  bool is_paused = false;  // we stopped it for others

  bool operator==(const training_selection&) const = default;
};

// What the trainer's status says. `unreadable` is no status: missing, too large, half written.
enum class training_word : std::uint8_t { unreadable, training, finished, saved, other };

struct training_report {
  std::string folder;  // whose status it is
  training_word word = training_word::unreadable;
  std::optional<double> time{};  // of the trainer's clock; only its changes count
};

// What the driver saw of the trainer. `missing`: there is no such container, or no process was
// started yet.
enum class trainer_state : std::uint8_t { running, exited, missing };

struct trainer_sight {
  std::uint64_t order = 0;  // number of the last order that was carried out before this look
  trainer_state state = trainer_state::missing;
  int exit_code = 0;  // of an exited one: its status, or 128 + the signal that ended it
  bool out_of_memory = false;
};

// Effects, which the actor carries out in order. ask_for_lease, stop_asking and give_lease_back are
// those of model_lifecycle.

// Must be durable before the next effect is carried out.
struct persist_selection {
  training_selection selection;
};
// Orders are numbered from 1, so that what was seen before one is not taken for its outcome.
struct start_trainer {
  std::uint64_t order;
  std::string folder;
  gpu_set gpus;
};
// Sends the checkpoint signal. The trainer goes on.
struct ask_to_save {};
// Sends the stop signal, then SIGKILL after the grace; without a grace SIGKILL at once. It may come
// again with the same number and a shorter grace.
struct stop_trainer {
  std::uint64_t order;
  duration grace;
};
// A failure of the trainer, for log, crash_log and metrics. `hung` is a frozen one.
struct record_training_crash {
  exit_reason reason;
  std::optional<int> exit_code;
  std::uint32_t failures;  // in a row, with this one
  duration retry_after;    // at the soonest
};

using training_effect =
    std::variant<persist_selection, ask_for_lease, stop_asking, give_lease_back, start_trainer,
                 ask_to_save, stop_trainer, record_training_crash>;
using training_effects = std::vector<training_effect>;

// `unknown`: the trainer has not been looked at yet.
enum class training_phase : std::uint8_t {
  unknown,
  idle,
  waiting,
  awaiting_lease,
  starting,
  adopting,
  running,
  saving,
  stopping
};
std::string_view to_string(training_phase value);

class training {
 public:
  // `persisted` is the selection of an earlier gateway. If that one had paused the trainer, a new
  // cooldown begins.
  training(const training_options& options, training_selection persisted, time_point now);

  // An order to train in this folder, which is not empty. A trainer that runs goes on, and is
  // watched by the status of that folder from now on.
  training_effects select(std::string folder, time_point now);
  training_effects clear(time_point now);  // stops it
  // An order to start the selected trainer again, after neither backoff nor cooldown.
  training_effects start(time_point now);
  training_effects stop(time_point now);  // an order: stop, and stay stopped; selected still

  // How many requests that need a GPU wait or are in flight now. A change from 0 to 0 is none: a
  // request that came and went between two calls is told by two.
  training_effects requests_changed(std::uint32_t in_flight, time_point now);
  // Ignored when the report is not of watched().
  training_effects status_read(const training_report& report, time_point now);
  // Ignored when it was seen before the latest order. Sights come in the order of the looks; what
  // is so is told again and again.
  training_effects trainer_seen(const trainer_sight& sight, time_point now);
  training_effects start_failed(std::uint64_t order, time_point now);
  training_effects lease_granted(fencing_token token, const gpu_set& gpus, time_point now);
  training_effects lease_refused(time_point now);
  // Any token but that of the held lease is ignored.
  training_effects lease_asked_back(fencing_token token, time_point now);
  training_effects advance(time_point now);  // handles timeouts, the end of cooldown and backoff
  time_point next_deadline() const;          // when to call advance(); `never`: not needed

  training_phase phase() const { return phase_; }
  const training_selection& selection() const { return selection_; }
  std::uint32_t requests() const { return requests_; }
  fencing_token token() const { return token_; }        // 0: no lease held
  std::uint64_t order() const { return order_; }        // the number of the latest
  std::uint32_t failures() const { return failures_; }  // in a row
  const std::optional<exit_reason>& last_failure() const { return last_failure_; }
  duration cooldown_left(time_point now) const;
  duration backoff_left(time_point now) const {
    return std::max(retry_at_ - now, duration::zero());
  }
  // The folder whose status is to be read; empty: none. It is the selected one, or that of a
  // trainer that saves.
  const std::string& watched() const { return watched_; }
  // When that status was last seen to change; empty: never.
  const std::optional<time_point>& time_seen_at() const { return time_seen_at_; }

 private:
  bool is_wanted() const { return !selection_.folder.empty() && !selection_.is_held; }
  bool is_blocked() const { return options_.yields_to_requests && requests_ > 0; }
  void change_selection(training_selection next, training_effects& out);
  void forgive();
  void watch_selected(time_point now);
  void settle(training_effects& out, time_point now);
  void pause(training_effects& out, time_point now);
  void end_run(bool may_save, training_effects& out, time_point now);
  void begin_stop(bool may_save, training_effects& out, time_point now);
  void kill_after(duration grace, training_effects& out, time_point now);
  void seen_running(training_effects& out, time_point now);
  void adopt(training_effects& out, time_point now);
  void seen_ended(const trainer_sight& sight, training_effects& out, time_point now);
  void ended_by_itself(const trainer_sight& sight, training_effects& out, time_point now);
  void release_lease(training_effects& out);
  void run_begins(time_point now);
  void finish(training_effects& out, time_point now);
  void judge(const training_report& report, training_effects& out, time_point now);
  void fail(exit_reason reason, std::optional<int> exit_code, time_point worked_until,
            training_effects& out, time_point now);

  training_options options_;
  training_selection selection_;
  training_phase phase_ = training_phase::unknown;
  bool may_have_run_ = false;  // unknown: before this gateway, and nobody has said how to go on
  std::uint32_t requests_ = 0;
  std::uint64_t order_ = 0;
  fencing_token token_ = 0;
  std::uint32_t failures_ = 0;
  std::optional<exit_reason> last_failure_;
  time_point retry_at_{};                    // no start before this: backoff
  time_point quiet_at_{};                    // nor before this: cooldown
  time_point deadline_ = never;              // of the phase
  std::optional<time_point> running_since_;  // empty: it does not run
  std::string watched_;
  std::optional<training_report> last_;  // that could be read, of watched_
  std::optional<time_point> time_seen_at_;
  time_point judged_since_{};  // the last change, or when we began to look
  time_point looked_at_{};     // when the last one was read
};

}  // namespace signalbox::scheduling
