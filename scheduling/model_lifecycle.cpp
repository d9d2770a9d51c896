#include "scheduling/model_lifecycle.hpp"

#include <algorithm>
#include <utility>

namespace signalbox::scheduling {

namespace {

constexpr int load_weight_percent = 30;  // weight of a new measurement in the load estimate

// An unload or a stop that waits for an idle queue asks it no more often than this.
constexpr duration idle_question_gap = std::chrono::milliseconds(250);

// A queue answers at once. A question without an answer by then was lost, and is asked again.
constexpr duration idle_answer_timeout = std::chrono::seconds(5);

}  // namespace

model_lifecycle::model_lifecycle(lifecycle_options options)
    : options_(options), load_estimate_(options.expected_load) {}

void model_lifecycle::set_options(const lifecycle_options& options) {
  options_ = options;
  if (!load_measured_) load_estimate_ = options.expected_load;
}

lifecycle_effects model_lifecycle::ensure_ready(time_point now) {
  lifecycle_effects out;
  switch (state_) {
    case lifecycle_state::stopped:
      wanted_ = true;
      ordered_stop_ = stops_when_idle_ = false;
      begin(out, now);
      break;
    case lifecycle_state::failed:
      if (now >= retry_at_) {
        wanted_ = true;
        begin(out, now);  // after a series of failures, this start is the only probe
      } else if (breaker_open()) {
        refuse(out, now);
      } else {
        wanted_ = true;
      }
      break;
    case lifecycle_state::ready:
      // The queue said it before it knew that it is open. It counts only if the queue is closing.
      wanted_ = asked_idle_ && !ordered_stop_;
      break;
    default:
      if (!ordered_stop_) wanted_ = true;
  }
  return out;
}

lifecycle_effects model_lifecycle::lease_granted(fencing_token token, const gpu_set& gpus,
                                                 time_point now) {
  lifecycle_effects out;
  if (state_ == lifecycle_state::awaiting_lease) {
    begin_start(token, gpus, out, now);
  } else if (token != token_) {
    out.push_back(give_lease_back{token});  // the grant and our withdrawal crossed
  }
  return out;
}

lifecycle_effects model_lifecycle::lease_refused(refusal why, time_point now) {
  lifecycle_effects out;
  if (state_ != lifecycle_state::awaiting_lease) return out;
  refused_ = why;
  end_order(start_order::failed);
  back_off(out, now);
  return out;
}

lifecycle_effects model_lifecycle::lease_asked_back(fencing_token token, time_point now,
                                                    bool by_order) {
  lifecycle_effects out;
  if (token == 0 || token != token_) return out;
  if (by_order) return stop(now);
  if (state_ == lifecycle_state::starting) stop_now(duration::zero(), out);
  if (state_ == lifecycle_state::ready) begin_drain(out, now);
  return out;
}

lifecycle_effects model_lifecycle::queue_drained(time_point now) {
  lifecycle_effects out;
  bool is_idle_answer = state_ == lifecycle_state::ready && asked_idle_;
  if (!is_idle_answer && state_ != lifecycle_state::draining) return out;
  if (is_idle_answer) forget_failures_if_proven(now);
  // When its last requests ended by their deadlines, a grace would only be waited out if it hangs.
  is_drained_ = !is_idle_answer && watch_.awaits_verdict();
  if (!is_drained_) end_drain(out, now);
  return out;
}

lifecycle_effects model_lifecycle::queue_not_idle(time_point now) {
  if (state_ != lifecycle_state::ready || !asked_idle_) return {};
  asked_idle_ = false;
  wanted_ = false;
  last_active_ = std::max(last_active_, now);
  return {};
}

lifecycle_effects model_lifecycle::runtime_ready(std::uint64_t incarnation, time_point now) {
  lifecycle_effects out;
  if (incarnation != incarnation_ || state_ != lifecycle_state::starting) return out;
  auto took = now - started_at_;
  load_estimate_ =
      load_measured_
          ? (load_estimate_ * (100 - load_weight_percent) + took * load_weight_percent) / 100
          : took;
  load_measured_ = true;
  state_ = lifecycle_state::ready;
  ready_since_ = last_active_ = now;
  wanted_ = false;
  end_order(start_order::done);
  asked_idle_ = false;
  refuses_until_ready_ = false;
  out.push_back(loaded{took});
  out.push_back(admit_requests{});
  return out;
}

lifecycle_effects model_lifecycle::runtime_exited(std::uint64_t incarnation, exit_reason reason,
                                                  time_point now) {
  lifecycle_effects out;
  if (incarnation != incarnation_ || exit_recorded_) return out;
  switch (state_) {
    case lifecycle_state::starting:
      fail(reason == exit_reason::asked ? exit_reason::start_failed : reason, out, now);
      break;
    case lifecycle_state::ready:
      out.push_back(drain_requests{});
      [[fallthrough]];
    case lifecycle_state::draining:
      fail(reason == exit_reason::asked ? exit_reason::crashed : reason, out, now);
      break;
    case lifecycle_state::stopping:
      exit_recorded_ = true;
      out.push_back(failing_ ? record_exit{*last_failure_, true}
                             : record_exit{exit_reason::asked, false});
      break;
    default:
      break;
  }
  return out;
}

lifecycle_effects model_lifecycle::runtime_released(std::uint64_t incarnation, time_point now) {
  lifecycle_effects out;
  if (incarnation != incarnation_) return out;
  // When the exit was not reported, the release stands for it.
  out = runtime_exited(incarnation, exit_reason::crashed, now);
  if (state_ != lifecycle_state::stopping) return out;
  if (token_ != 0) out.push_back(give_lease_back{std::exchange(token_, 0)});
  state_ = lifecycle_state::stopped;
  const bool is_ordered = ordered_stop_ || is_start_ordered();
  if (std::exchange(failing_, false) && !is_ordered) {
    back_off(out, now);
  } else if (wanted()) {
    begin(out, now);
  }
  return out;
}

lifecycle_effects model_lifecycle::runtime_noticed(const runtime_signs& signs, time_point now) {
  lifecycle_effects out;
  if (signs.run != incarnation_ || !serves()) return out;
  const bool could_admit = may_admit();
  watch_.note(signs, now);
  if (signs.completed) failures_ = 0;
  follow_watch(could_admit, out);
  check_if_due(out, now);
  return out;
}

lifecycle_effects model_lifecycle::runtime_checked(std::uint64_t incarnation, bool is_healthy,
                                                   time_point now) {
  lifecycle_effects out;
  if (incarnation != incarnation_) return out;
  const bool is_unreachable = state_ == lifecycle_state::starting && !is_healthy;
  if (is_unreachable && options_.external && !refuses_until_ready_) refuse(out, now);
  if (!serves()) return out;
  const bool could_admit = may_admit();
  watch_.checked(is_healthy, now);
  follow_watch(could_admit, out);
  if (watch_.is_hung(now, options_.silence)) {
    give_up_hung(out, now);
  } else if (state_ == lifecycle_state::ready && watch_.is_lost(now)) {
    begin_drain(out, now);
  } else if (is_drained_ && !watch_.awaits_verdict()) {
    end_drain(out, now);
  }
  return out;
}

lifecycle_effects model_lifecycle::activity(time_point last_active, bool waiting, time_point now) {
  lifecycle_effects out;
  last_active_ = std::max(last_active_, waiting ? now : std::min(last_active, now));
  if (waiting) return out;
  wanted_ = false;
  if (state_ == lifecycle_state::awaiting_lease && !wanted()) {
    out.push_back(stop_asking{});
    state_ = lifecycle_state::stopped;
  }
  return out;
}

lifecycle_effects model_lifecycle::advance(time_point now) {
  lifecycle_effects out;
  if (now < next_deadline()) return out;
  switch (state_) {
    case lifecycle_state::awaiting_lease:
      end_order(start_order::no_room);
      if (wanted()) break;
      out.push_back(stop_asking{});
      state_ = lifecycle_state::stopped;
      break;
    case lifecycle_state::starting:
      fail(exit_reason::start_timeout, out, now);
      out.push_back(stop_runtime{options_.stop_grace});
      break;
    case lifecycle_state::draining:
      check_if_due(out, now);
      if (now >= deadline_) end_drain(out, now);
      break;
    case lifecycle_state::failed:
      if (wanted()) {
        begin(out, now);
      } else {
        state_ = lifecycle_state::stopped;
      }
      break;
    case lifecycle_state::ready:
      forget_failures_if_proven(now);
      if (now >= next_idle_question()) ask_if_idle(out, now);
      check_if_due(out, now);
      break;
    default:
      break;
  }
  return out;
}

time_point model_lifecycle::next_deadline() const {
  switch (state_) {
    case lifecycle_state::awaiting_lease:
      return is_start_ordered() ? lease_due_ : never;
    case lifecycle_state::starting:
      return deadline_;
    case lifecycle_state::draining:
      return std::min(deadline_, watch_.next_check());
    case lifecycle_state::failed:
      return !breaker_open() || options_.pinned ? retry_at_ : never;
    case lifecycle_state::ready: {
      auto next = std::min(next_idle_question(), watch_.next_check());
      if (failures_ > 0) next = std::min(next, ready_since_ + options_.max_backoff);
      return next;
    }
    default:
      return never;
  }
}

duration model_lifecycle::ready_in(time_point now) const {
  switch (state_) {
    case lifecycle_state::ready:
      return duration::zero();
    case lifecycle_state::starting:
      return std::max(duration::zero(), started_at_ + load_estimate_ - now);
    case lifecycle_state::failed:
      return std::max(duration::zero(), retry_at_ - now) + load_estimate_;
    default:
      return load_estimate_;
  }
}

void model_lifecycle::begin(lifecycle_effects& out, time_point now) {
  refused_.reset();
  if (!options_.needs_lease) return begin_start(0, {}, out, now);
  state_ = lifecycle_state::awaiting_lease;
  lease_due_ = now + options_.start_timeout;
  out.push_back(ask_for_lease{});
}

void model_lifecycle::begin_start(fencing_token token, const gpu_set& gpus, lifecycle_effects& out,
                                  time_point now) {
  token_ = token;
  gpus_ = gpus;
  state_ = lifecycle_state::starting;
  started_at_ = now;
  deadline_ = now + options_.start_timeout;
  exit_recorded_ = is_drained_ = false;
  kept_loaded_.reset();
  watch_ = {};
  out.push_back(start_runtime{token, gpus, ++incarnation_});
}

void model_lifecycle::begin_drain(lifecycle_effects& out, time_point now) {
  forget_failures_if_proven(now);
  asked_idle_ = false;
  state_ = lifecycle_state::draining;
  deadline_ = now + options_.drain_timeout;
  out.push_back(drain_requests{});
}

// Returns when a ready backend next asks its queue whether it is idle; `never`: it stays loaded.
time_point model_lifecycle::next_idle_question() const {
  if (watch_.holds_requests()) return never;
  if (asked_idle_) return asked_idle_at_ + idle_answer_timeout;
  const auto soonest = asked_idle_at_ + idle_question_gap;
  return stops_when_idle_ ? soonest : std::max(soonest, unload_at());
}

time_point model_lifecycle::unload_at() const {
  if (state_ != lifecycle_state::ready || options_.pinned) return never;
  const auto keep = kept_loaded_.value_or(usual_keep(options_.idle_unload));
  return keep < duration::zero() ? never : last_active_ + keep;
}

void model_lifecycle::end_drain(lifecycle_effects& out, time_point now) {
  if (watch_.is_lost(now)) return give_up_hung(out, now);
  stop_now(options_.stop_grace, out);
}

void model_lifecycle::stop_now(duration grace, lifecycle_effects& out) {
  state_ = lifecycle_state::stopping;
  asked_idle_ = false;
  out.push_back(stop_runtime{grace});
}

// The queue is closed or opened when the watch says so, which overtakes the question of idleness.
void model_lifecycle::follow_watch(bool could_admit, lifecycle_effects& out) {
  if (state_ != lifecycle_state::ready || could_admit == may_admit()) return;
  asked_idle_ = false;
  out.push_back(could_admit ? lifecycle_effect(drain_requests{}) : admit_requests{});
}

// The exit, which brings the runtime's last words, is recorded when it comes.
void model_lifecycle::give_up_hung(lifecycle_effects& out, time_point now) {
  begin_failure(exit_reason::hung, now);
  out.push_back(stop_runtime{duration::zero()});
}

// The runtime failed: it has ended or will be ended. `stopping` waits for the rest of its process
// tree.
void model_lifecycle::begin_failure(exit_reason reason, time_point now) {
  if (state_ == lifecycle_state::ready) forget_failures_if_proven(now);
  ++failures_;
  end_order(start_order::failed);
  last_failure_ = reason;
  failing_ = true;
  asked_idle_ = false;
  state_ = lifecycle_state::stopping;
}

void model_lifecycle::fail(exit_reason reason, lifecycle_effects& out, time_point now) {
  begin_failure(reason, now);
  exit_recorded_ = true;
  out.push_back(record_exit{reason, true});
}

// Rule backoff: sets the time of the next start, and opens the breaker after too many failures.
void model_lifecycle::back_off(lifecycle_effects& out, time_point now) {
  state_ = lifecycle_state::failed;
  auto pause = refused_ ? options_.max_backoff : options_.backoff;
  const auto doublings = options_.external ? 1 : failures_;
  for (std::uint32_t n = 1; n < doublings && pause < options_.max_backoff; ++n) pause *= 2;
  retry_at_ = now + std::min(pause, options_.max_backoff);
  if (!breaker_open() && !options_.external) return;
  refuse(out, now);
  wanted_ = false;
}

void model_lifecycle::refuse(lifecycle_effects& out, time_point now) {
  refuses_until_ready_ = options_.external;
  out.push_back(refuse_requests{refused_.value_or(refusal::model_failed),
                                std::max(duration::zero(), retry_at_ - now), options_.external});
}

}  // namespace signalbox::scheduling
