#include "scheduling/training.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace signalbox::scheduling {

namespace {

// A driver sees the end of what it killed sooner. One that did not kills again.
constexpr duration kill_gap = std::chrono::seconds(10);

}  // namespace

std::string_view to_string(training_phase value) {
  constexpr std::array<std::string_view, 9> names{"unknown",        "idle",     "waiting",
                                                  "awaiting_lease", "starting", "adopting",
                                                  "running",        "saving",   "stopping"};
  return names[static_cast<std::size_t>(value)];
}

training::training(const training_options& options, training_selection persisted, time_point now)
    : options_(options), selection_(std::move(persisted)) {
  may_have_run_ = is_wanted() && !selection_.is_paused;
  if (selection_.is_paused) quiet_at_ = now + options_.cooldown;
  judged_since_ = looked_at_ = now;
  watched_ = selection_.folder;
}

training_effects training::select(std::string folder, time_point now) {
  training_effects out;
  forgive();
  change_selection({std::move(folder), false, selection_.is_paused}, out);
  watch_selected(now);
  settle(out, now);
  return out;
}

training_effects training::clear(time_point now) {
  training_effects out;
  may_have_run_ = false;
  change_selection({}, out);
  end_run(true, out, now);
  watch_selected(now);
  return out;
}

training_effects training::start(time_point now) {
  training_effects out;
  if (selection_.folder.empty()) return out;
  forgive();
  quiet_at_ = {};
  change_selection({selection_.folder, false, selection_.is_paused}, out);
  settle(out, now);
  return out;
}

training_effects training::stop(time_point now) {
  training_effects out;
  if (selection_.folder.empty()) return out;
  may_have_run_ = false;
  change_selection({selection_.folder, true, false}, out);
  end_run(true, out, now);
  return out;
}

training_effects training::requests_changed(std::uint32_t in_flight, time_point now) {
  training_effects out;
  const bool are_over = requests_ > 0 && in_flight == 0;
  requests_ = in_flight;
  if (!options_.yields_to_requests) return out;
  if (are_over) quiet_at_ = now + options_.cooldown;
  if (in_flight > 0) pause(out, now);
  return out;
}

training_effects training::status_read(const training_report& report, time_point now) {
  training_effects out;
  if (watched_.empty() || report.folder != watched_) return out;
  if (report.word == training_word::unreadable) return out;
  const bool is_first = !last_;
  const bool is_news = is_first || last_->word != report.word || last_->time != report.time;
  const bool was_blind = now - looked_at_ > options_.frozen_timeout;
  if (is_news) time_seen_at_ = now;
  if (is_news || was_blind) judged_since_ = now;
  looked_at_ = now;
  last_ = report;
  if (report.word == training_word::finished) {
    finish(out, now);
  } else if (report.word == training_word::saved) {
    // What it said when it was asked is of an earlier run.
    const bool is_answer = phase_ == training_phase::saving && is_news && !is_first;
    if (is_answer) kill_after(duration::zero(), out, now);
  } else {
    judge(report, out, now);
  }
  return out;
}

training_effects training::trainer_seen(const trainer_sight& sight, time_point now) {
  training_effects out;
  if (sight.order != order_) return out;
  if (sight.state == trainer_state::running) {
    seen_running(out, now);
  } else {
    seen_ended(sight, out, now);
  }
  return out;
}

training_effects training::start_failed(std::uint64_t order, time_point now) {
  training_effects out;
  if (order != order_ || phase_ != training_phase::starting) return out;
  release_lease(out);
  fail(exit_reason::start_failed, {}, now, out, now);
  phase_ = training_phase::idle;
  settle(out, now);
  return out;
}

training_effects training::lease_granted(fencing_token token, const gpu_set& gpus, time_point now) {
  training_effects out;
  if (phase_ == training_phase::awaiting_lease) {
    token_ = token;
    phase_ = training_phase::starting;
    deadline_ = now + options_.start_timeout;
    out.emplace_back(start_trainer{++order_, selection_.folder, gpus});
  } else if (phase_ == training_phase::adopting) {
    token_ = token;
    phase_ = training_phase::running;
    deadline_ = never;
    change_selection({selection_.folder, false, false}, out);
  } else if (token != token_) {
    out.emplace_back(give_lease_back{token});  // the grant and our withdrawal crossed
  }
  return out;
}

training_effects training::lease_refused(time_point now) {
  training_effects out;
  const bool has_asked =
      phase_ == training_phase::awaiting_lease || phase_ == training_phase::adopting;
  if (!has_asked) return out;
  retry_at_ = now + options_.max_backoff;
  if (phase_ == training_phase::adopting) {
    begin_stop(true, out, now);
  } else {
    phase_ = training_phase::waiting;
  }
  return out;
}

training_effects training::lease_asked_back(fencing_token token, time_point now) {
  training_effects out;
  if (token == 0 || token != token_) return out;
  quiet_at_ = std::max(quiet_at_, now + options_.cooldown);
  pause(out, now);
  return out;
}

training_effects training::advance(time_point now) {
  training_effects out;
  if (now < next_deadline()) return out;
  switch (phase_) {
    case training_phase::waiting:
      settle(out, now);
      break;
    case training_phase::starting:
      fail(exit_reason::start_timeout, {}, now, out, now);
      kill_after(options_.stop_grace, out, now);
      break;
    case training_phase::adopting:
      quiet_at_ = std::max(quiet_at_, now + options_.cooldown);
      pause(out, now);
      break;
    case training_phase::saving:
      kill_after(options_.stop_grace, out, now);
      break;
    case training_phase::stopping:
      deadline_ = now + kill_gap;
      out.emplace_back(stop_trainer{order_, duration::zero()});
      break;
    default:
      break;
  }
  return out;
}

time_point training::next_deadline() const {
  if (phase_ != training_phase::waiting) return deadline_;
  return is_blocked() ? never : std::max(retry_at_, quiet_at_);
}

duration training::cooldown_left(time_point now) const {
  return is_blocked() ? duration::zero() : std::max(quiet_at_ - now, duration::zero());
}

void training::change_selection(training_selection next, training_effects& out) {
  if (next == selection_) return;
  selection_ = std::move(next);
  out.emplace_back(persist_selection{selection_});
}

// A person says how to go on, so what went wrong before does not count any more.
void training::forgive() {
  may_have_run_ = false;
  failures_ = 0;
  retry_at_ = {};
}

// One that saves is watched by the folder that it trains in, whatever is selected meanwhile.
void training::watch_selected(time_point now) {
  if (phase_ == training_phase::saving || watched_ == selection_.folder) return;
  watched_ = selection_.folder;
  last_.reset();
  time_seen_at_.reset();
  judged_since_ = looked_at_ = now;
}

// While nothing runs and no lease is asked for or held: waits, or asks for one.
void training::settle(training_effects& out, time_point now) {
  if (phase_ != training_phase::idle && phase_ != training_phase::waiting) return;
  deadline_ = never;
  if (!is_wanted()) {
    phase_ = training_phase::idle;
  } else if (is_blocked() || now < std::max(retry_at_, quiet_at_)) {
    phase_ = training_phase::waiting;
  } else {
    phase_ = training_phase::awaiting_lease;
    out.emplace_back(ask_for_lease{});
  }
}

// Rule yield.
void training::pause(training_effects& out, time_point now) {
  const bool is_up = phase_ == training_phase::starting || phase_ == training_phase::running ||
                     phase_ == training_phase::adopting;
  if (is_up && is_wanted()) change_selection({selection_.folder, false, true}, out);
  end_run(true, out, now);
}

// Whatever it does now, it is to end: because it is not wanted any more, or must wait.
void training::end_run(bool may_save, training_effects& out, time_point now) {
  switch (phase_) {
    case training_phase::awaiting_lease:
      out.emplace_back(stop_asking{});
      phase_ = training_phase::idle;
      settle(out, now);
      break;
    case training_phase::adopting:
      out.emplace_back(stop_asking{});
      begin_stop(may_save, out, now);
      break;
    case training_phase::starting:
      kill_after(options_.stop_grace, out, now);
      break;
    case training_phase::running:
      begin_stop(may_save, out, now);
      break;
    default:
      settle(out, now);
  }
}

// Rule save.
void training::begin_stop(bool may_save, training_effects& out, time_point now) {
  if (!may_save || options_.checkpoint_wait <= duration::zero()) {
    return kill_after(options_.stop_grace, out, now);
  }
  phase_ = training_phase::saving;
  deadline_ = now + options_.checkpoint_wait;
  out.emplace_back(ask_to_save{});
}

void training::kill_after(duration grace, training_effects& out, time_point now) {
  phase_ = training_phase::stopping;
  deadline_ = now + grace + kill_gap;
  watch_selected(now);
  out.emplace_back(stop_trainer{++order_, grace});
}

}  // namespace signalbox::scheduling
