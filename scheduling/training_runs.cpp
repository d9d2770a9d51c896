// What is seen of the trainer: its runs, and how they end.
#include <algorithm>
#include <array>
#include <utility>

#include "scheduling/training.hpp"

namespace signalbox::scheduling {

namespace {

// As the shell and `docker stop` leave it: success, SIGINT, SIGKILL, SIGTERM.
constexpr std::array by_hand_codes{0, 130, 137, 143};

bool was_stopped_by_hand(const trainer_sight& sight) {
  return sight.state == trainer_state::exited && !sight.out_of_memory &&
         std::find(by_hand_codes.begin(), by_hand_codes.end(), sight.exit_code) !=
             by_hand_codes.end();
}

}  // namespace

void training::seen_running(training_effects& out, time_point now) {
  switch (phase_) {
    case training_phase::starting:
      phase_ = training_phase::running;
      deadline_ = never;
      run_begins(now);
      change_selection({selection_.folder, false, false}, out);
      break;
    case training_phase::unknown:
    case training_phase::idle:
    case training_phase::waiting:
    case training_phase::awaiting_lease:
      adopt(out, now);
      break;
    default:
      break;
  }
}

// Somebody started it. Selected, it goes on if there is a lease for it; that also ends a stop by
// hand.
void training::adopt(training_effects& out, time_point now) {
  run_begins(now);
  may_have_run_ = false;
  const bool has_asked = phase_ == training_phase::awaiting_lease;
  if (selection_.folder.empty()) return begin_stop(true, out, now);
  if (is_blocked()) {
    change_selection({selection_.folder, false, true}, out);
    return begin_stop(true, out, now);
  }
  change_selection({selection_.folder, false, selection_.is_paused}, out);
  phase_ = training_phase::adopting;
  deadline_ = now + options_.adopt_wait;
  if (!has_asked) out.emplace_back(ask_for_lease{});
}

void training::seen_ended(const trainer_sight& sight, training_effects& out, time_point now) {
  switch (phase_) {
    case training_phase::unknown:
      phase_ = training_phase::idle;
      // A process ended together with the gateway that started it, and is missing.
      if (std::exchange(may_have_run_, false) && sight.state == trainer_state::exited) {
        ended_by_itself(sight, out, now);
      } else {
        settle(out, now);
      }
      break;
    case training_phase::starting:
    case training_phase::adopting:
    case training_phase::running:
      ended_by_itself(sight, out, now);
      break;
    case training_phase::saving:
    case training_phase::stopping:
      release_lease(out);
      phase_ = training_phase::idle;
      watch_selected(now);
      settle(out, now);
      break;
    default:
      break;
  }
}

void training::ended_by_itself(const trainer_sight& sight, training_effects& out, time_point now) {
  if (phase_ == training_phase::adopting) out.emplace_back(stop_asking{});
  if (was_stopped_by_hand(sight)) {
    change_selection({selection_.folder, true, false}, out);
  } else {
    const bool has_code = sight.state == trainer_state::exited;
    fail(sight.out_of_memory ? exit_reason::oom : exit_reason::crashed,
         has_code ? std::optional(sight.exit_code) : std::nullopt, now, out, now);
  }
  release_lease(out);
  phase_ = training_phase::idle;
  settle(out, now);
}

void training::release_lease(training_effects& out) {
  running_since_.reset();
  if (token_ != 0) out.emplace_back(give_lease_back{std::exchange(token_, 0)});
}

void training::run_begins(time_point now) {
  running_since_ = now;
  judged_since_ = now;
}

// Rule finished. There is nothing left to save.
void training::finish(training_effects& out, time_point now) {
  may_have_run_ = false;
  if (watched_ == selection_.folder) change_selection({}, out);
  if (phase_ == training_phase::saving) {
    kill_after(options_.stop_grace, out, now);
  } else {
    end_run(false, out, now);
  }
  watch_selected(now);
}

// Rule frozen.
void training::judge(const training_report& report, training_effects& out, time_point now) {
  const bool can_be_frozen = phase_ == training_phase::running &&
                             report.word == training_word::training && report.time.has_value();
  if (!can_be_frozen || now - judged_since_ <= options_.frozen_timeout) return;
  fail(exit_reason::hung, {}, judged_since_, out, now);
  begin_stop(false, out, now);
}

// Rule backoff. A run counts as long as it worked.
void training::fail(exit_reason reason, std::optional<int> exit_code, time_point worked_until,
                    training_effects& out, time_point now) {
  if (running_since_ && worked_until - *running_since_ >= options_.max_backoff) failures_ = 0;
  auto pause = options_.backoff;
  for (std::uint32_t n = 0; n < failures_ && pause < options_.max_backoff; ++n) pause *= 2;
  pause = std::min(pause, options_.max_backoff);
  ++failures_;
  last_failure_ = reason;
  retry_at_ = now + pause;
  out.emplace_back(record_training_crash{reason, exit_code, failures_, pause});
}

}  // namespace signalbox::scheduling
