#include "scheduling/model_lifecycle.hpp"

#include <algorithm>
#include <utility>

namespace signalbox::scheduling {

namespace {

constexpr int load_weight_percent = 30;  // weight of a new measurement in the load estimate

// While a stop waits for an idle queue, the queue is asked this often.
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

lifecycle_effects model_lifecycle::stop(time_point now) {
  lifecycle_effects out;
  ordered_stop_ = true;
  wanted_ = false;
  switch (state_) {
    case lifecycle_state::awaiting_lease:
      out.push_back(stop_asking{});
      state_ = lifecycle_state::stopped;
      break;
    case lifecycle_state::starting:
      stop_now(duration::zero(), out);
      break;
    case lifecycle_state::ready:
      begin_drain(out, now);
      break;
    case lifecycle_state::failed:
      state_ = lifecycle_state::stopped;
      break;
    default:
      break;
  }
  return out;
}

lifecycle_effects model_lifecycle::stop_when_idle(time_point now) {
  if (state_ != lifecycle_state::ready) return stop(now);
  lifecycle_effects out;
  ordered_stop_ = stops_when_idle_ = true;
  if (!asked_idle_) ask_if_idle(out, now);
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
  back_off(out, now);
  return out;
}

lifecycle_effects model_lifecycle::lease_asked_back(fencing_token token, time_point now) {
  lifecycle_effects out;
  if (token == 0 || token != token_) return out;
  if (state_ == lifecycle_state::starting) stop_now(duration::zero(), out);
  if (state_ == lifecycle_state::ready) begin_drain(out, now);
  return out;
}

lifecycle_effects model_lifecycle::queue_drained(time_point now) {
  lifecycle_effects out;
  bool is_idle_answer = state_ == lifecycle_state::ready && asked_idle_;
  if (!is_idle_answer && state_ != lifecycle_state::draining) return out;
  if (is_idle_answer) forget_failures_if_proven(now);
  stop_now(options_.stop_grace, out);
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
  asked_idle_ = false;
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
      out.push_back(record_exit{exit_reason::asked, false});
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
  if (std::exchange(failing_, false) && !ordered_stop_) {
    back_off(out, now);
  } else if (wanted()) {
    begin(out, now);
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
    case lifecycle_state::starting:
      fail(exit_reason::start_timeout, out, now);
      out.push_back(stop_runtime{options_.stop_grace});
      break;
    case lifecycle_state::draining:
      stop_now(options_.stop_grace, out);
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
      break;
    default:
      break;
  }
  return out;
}

time_point model_lifecycle::next_deadline() const {
  switch (state_) {
    case lifecycle_state::starting:
    case lifecycle_state::draining:
      return deadline_;
    case lifecycle_state::failed:
      return !breaker_open() || options_.pinned ? retry_at_ : never;
    case lifecycle_state::ready: {
      auto next = next_idle_question();
      if (failures_ > 0) next = std::min(next, ready_since_ + options_.max_backoff);
      return next;
    }
    default:
      return never;
  }
}

lifecycle_state model_lifecycle::state() const {
  return state_;
}
std::uint64_t model_lifecycle::incarnation() const {
  return incarnation_;
}
fencing_token model_lifecycle::token() const {
  return token_;
}
const gpu_set& model_lifecycle::gpus() const {
  return gpus_;
}
std::uint32_t model_lifecycle::failures() const {
  return failures_;
}
std::optional<exit_reason> model_lifecycle::last_failure() const {
  return last_failure_;
}
duration model_lifecycle::load_estimate() const {
  return load_estimate_;
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
  out.push_back(ask_for_lease{});
}

void model_lifecycle::begin_start(fencing_token token, const gpu_set& gpus, lifecycle_effects& out,
                                  time_point now) {
  token_ = token;
  gpus_ = gpus;
  state_ = lifecycle_state::starting;
  started_at_ = now;
  deadline_ = now + options_.start_timeout;
  exit_recorded_ = false;
  out.push_back(start_runtime{token, gpus, ++incarnation_});
}

void model_lifecycle::begin_drain(lifecycle_effects& out, time_point now) {
  forget_failures_if_proven(now);
  asked_idle_ = false;
  state_ = lifecycle_state::draining;
  deadline_ = now + options_.drain_timeout;
  out.push_back(drain_requests{});
}

void model_lifecycle::ask_if_idle(lifecycle_effects& out, time_point now) {
  asked_idle_ = true;
  asked_idle_at_ = now;
  out.push_back(drain_if_idle{});
}

// Returns when a ready backend next asks its queue whether it is idle; `never`: it stays loaded.
time_point model_lifecycle::next_idle_question() const {
  if (asked_idle_) return asked_idle_at_ + idle_answer_timeout;
  if (stops_when_idle_) return asked_idle_at_ + idle_question_gap;
  if (options_.idle_unload == duration::zero()) return never;
  return last_active_ + options_.idle_unload;
}

void model_lifecycle::stop_now(duration grace, lifecycle_effects& out) {
  state_ = lifecycle_state::stopping;
  asked_idle_ = false;
  out.push_back(stop_runtime{grace});
}

// The runtime failed: it has ended or will be ended. `stopping` waits for the rest of its process
// tree.
void model_lifecycle::fail(exit_reason reason, lifecycle_effects& out, time_point now) {
  if (state_ == lifecycle_state::ready) forget_failures_if_proven(now);
  ++failures_;
  last_failure_ = reason;
  failing_ = true;
  exit_recorded_ = true;
  asked_idle_ = false;
  state_ = lifecycle_state::stopping;
  out.push_back(record_exit{reason, true});
}

// Rule backoff: sets the time of the next start, and opens the breaker after too many failures.
void model_lifecycle::back_off(lifecycle_effects& out, time_point now) {
  state_ = lifecycle_state::failed;
  auto pause = refused_ ? options_.max_backoff : options_.backoff;
  for (std::uint32_t n = 1; n < failures_ && pause < options_.max_backoff; ++n) pause *= 2;
  retry_at_ = now + std::min(pause, options_.max_backoff);
  if (!breaker_open()) return;
  refuse(out, now);
  wanted_ = false;
}

void model_lifecycle::refuse(lifecycle_effects& out, time_point now) const {
  out.push_back(refuse_requests{refused_.value_or(refusal::model_failed), retry_at_ - now});
}

// Forgets earlier failures once the runtime has been ready for longer than the longest backoff.
// Becoming ready is not enough: a runtime that dies on its first request would be restarted for
// ever.
void model_lifecycle::forget_failures_if_proven(time_point now) {
  if (now - ready_since_ >= options_.max_backoff) failures_ = 0;
}

}  // namespace signalbox::scheduling
