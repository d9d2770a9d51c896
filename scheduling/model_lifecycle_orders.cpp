// The orders to start and to stop a backend: see model_lifecycle.hpp.
#include "scheduling/model_lifecycle.hpp"

namespace signalbox::scheduling {

// A start that goes on, or that comes after a drain, is the one that was ordered. A lease that is
// waited for is asked for anew, because the pool must hear that it is an order.
lifecycle_effects model_lifecycle::order_start(time_point now) {
  lifecycle_effects out;
  if (state_ == lifecycle_state::ready) {
    last_active_ = now;
    wanted_ = asked_idle_ && !ordered_stop_;  // the queue may be closing
    ordered_ = start_order::done;
    return out;
  }
  ordered_stop_ = stops_when_idle_ = false;
  ordered_ = start_order::going_on;
  lease_due_ = now + options_.start_timeout;
  if (state_ == lifecycle_state::awaiting_lease) out.push_back(stop_asking{});
  const bool is_idle = state_ == lifecycle_state::stopped || state_ == lifecycle_state::failed;
  if (is_idle || state_ == lifecycle_state::awaiting_lease) begin(out, now);
  return out;
}

lifecycle_effects model_lifecycle::stop(time_point now) {
  lifecycle_effects out;
  ordered_stop_ = true;
  wanted_ = false;
  end_order(start_order::overruled);
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

lifecycle_effects model_lifecycle::stop_at_once(time_point now) {
  if (!serves()) return stop(now);
  lifecycle_effects out;
  ordered_stop_ = true;
  wanted_ = false;
  end_order(start_order::overruled);
  if (state_ == lifecycle_state::ready) begin_drain(out, now);
  stop_now(options_.stop_grace, out);
  return out;
}

}  // namespace signalbox::scheduling
