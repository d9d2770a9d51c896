#include "bench/fairness.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "scheduling/rate_limit.hpp"

namespace signalbox::bench {

namespace {

using namespace scheduling;

constexpr duration step = std::chrono::milliseconds(10);
constexpr time_point start{std::chrono::hours(1)};

class simulated_model {
 public:
  simulated_model(const fairness_scenario& scenario, sharing policy)
      : policy_(policy),
        queue_({.expected_units = fairness_units, .max_waiting = 1000000}),
        clients_{client{scenario.a}, client{scenario.b}} {
    queue_.open(backend, fairness_units, now_);
  }

  fairness_result run() {
    double busy = 0;
    const auto end = start + std::chrono::seconds(static_cast<int>(fairness_seconds));
    for (auto sample = start; now_ < end; now_ += step) {
      while (!running_.empty() && running_.begin()->first <= now_) end_first();
      for (std::size_t i = 0; i < clients_.size(); ++i) arrive(i);
      busy += static_cast<double>(running_.size()) / fairness_units;
      look();
      if (now_ < sample + std::chrono::seconds(static_cast<int>(fairness_sample_s))) continue;
      sample = now_;
      result_.difference.push_back(served(0) - served(1));
    }
    result_.difference.push_back(served(0) - served(1));
    result_.bound =
        2 * std::max(weights_.prompt * max_prompt_tokens_, weights_.completion * max_in_flight_);
    result_.served_a = served(0);
    result_.served_b = served(1);
    result_.mean_wait_a_s = clients_[0].waited_s / std::max(1.0, clients_[0].begun);
    result_.mean_wait_b_s = clients_[1].waited_s / std::max(1.0, clients_[1].begun);
    result_.idle = 1 - busy * to_seconds(step) / fairness_seconds;
    return result_;
  }

 private:
  struct client {
    fairness_client traffic;
    double due = 0;  // requests that are due; may be a fraction
    double waited_s = 0, begun = 0, ended_service = 0;
    int waiting = 0;
    limit_account limits{};
  };
  struct request {
    std::size_t client;
    time_point begun;
    service_charge charge;
  };

  double seconds_of(const client& c) const {
    return c.traffic.prompt_tokens / fairness_prompt_tokens_per_s +
           c.traffic.completion_tokens / fairness_tokens_per_s;
  }

  void arrive(std::size_t i) {
    auto& c = clients_[i];
    const auto at = to_seconds(now_ - start);
    c.due += c.traffic.requests_per_s(at) * to_seconds(step);
    for (; c.due >= 1; c.due -= 1) {
      const key_limits limits{.requests_per_minute = fairness_requests_a_minute, .burst = 10};
      if (policy_ == sharing::requests_a_minute && c.limits.take_request(limits, now_)) continue;
      ticket t{.id = ++last_id_};
      if (policy_ == sharing::fair) t.principal = static_cast<std::uint32_t>(i + 1);
      t.estimate = weights_.cost(c.traffic.prompt_tokens, mean_completion_);
      ++c.waiting;
      owners_.emplace(t.id, i);
      begin(queue_.submit(t, now_));
    }
  }

  void begin(const admission_effects& effects) {
    for (const auto& effect : effects) {
      const auto* grant = std::get_if<grant_permit>(&effect);
      if (!grant) continue;
      const auto i = owners_.extract(grant->id).mapped();
      auto& c = clients_[i];
      --c.waiting;
      ++c.begun;
      c.waited_s += to_seconds(grant->waited);
      running_.emplace(now_ + from_seconds(seconds_of(c)), request{i, now_, grant->charge});
    }
  }

  void end_first() {
    const auto r = running_.extract(running_.begin()).mapped();
    auto& c = clients_[r.client];
    const auto cost = weights_.cost(c.traffic.prompt_tokens, c.traffic.completion_tokens);
    c.ended_service += cost;
    mean_completion_ = std::lerp(c.traffic.completion_tokens, mean_completion_, 0.9);
    queue_.count_service({.principal = r.charge.principal,
                          .weight = r.charge.weight,
                          .ended = 1,
                          .corrected = cost - r.charge.cost},
                         now_);
    begin(queue_.give_back(0, backend, 1, now_));
  }

  // Counts as the paper does: a prompt when it begins, each token when it is made.
  double served(std::size_t i) const {
    const auto& c = clients_[i];
    double sum = c.ended_service;
    for (const auto& [end, r] : running_) {
      if (r.client != i) continue;
      const auto done = to_seconds(now_ - r.begun) / seconds_of(c);
      sum += weights_.prompt * c.traffic.prompt_tokens +
             weights_.completion * c.traffic.completion_tokens * std::min(1.0, done);
    }
    return sum;
  }

  void look() {
    double in_flight = 0;
    for (const auto& [end, r] : running_) {
      const auto& t = clients_[r.client].traffic;
      in_flight += t.prompt_tokens + t.completion_tokens;
      max_prompt_tokens_ = std::max(max_prompt_tokens_, t.prompt_tokens);
    }
    max_in_flight_ = std::max(max_in_flight_, in_flight);
    const auto difference = served(0) - served(1);
    const bool both = clients_[0].waiting > 0 && clients_[1].waiting > 0;
    if (!std::exchange(both_wait_, both)) least_ = most_ = difference;
    if (!both) return;
    least_ = std::min(least_, difference);
    most_ = std::max(most_, difference);
    result_.greatest_gap = std::max(result_.greatest_gap, most_ - least_);
  }

  const sharing policy_;
  const token_weights weights_;
  static constexpr backend_id backend = 1;

  admission queue_;
  std::array<client, 2> clients_;
  time_point now_ = start;
  std::multimap<time_point, request> running_;
  std::map<ticket_id, std::size_t> owners_;
  ticket_id last_id_ = 0;
  double mean_completion_ = 0, max_prompt_tokens_ = 0, max_in_flight_ = 0;
  bool both_wait_ = false;
  double least_ = 0, most_ = 0;
  fairness_result result_;
};

auto always(double rate) {
  return [rate](double) { return rate; };
}

}  // namespace

std::vector<fairness_scenario> fairness_scenarios() {
  const auto bursts = [](double s) {
    return (s >= 60 && s < 65) || (s >= 180 && s < 185) ? 30. : 0.;
  };
  const auto returns = [](double s) { return s < 20 || s >= 150 ? 4. : 0.; };
  return {{"different rates: a asks twice as often as b, both more than their share",
           {always(6), 200, 100},
           {always(3), 200, 100}},
          {"a bursts: 150 requests in 5 s at 60 and 180 s; b asks for less than its share",
           {bursts, 200, 100},
           {always(1), 200, 100}},
          {"a returns from idle: it pauses from 20 to 150 s; b asks for all all the time",
           {returns, 200, 100},
           {always(4), 200, 100}},
          {"heavy against light: as many requests, of a with 8 times as long answers",
           {always(4), 50, 400},
           {always(4), 50, 50}}};
}

fairness_result simulate(const fairness_scenario& scenario, sharing policy) {
  return simulated_model(scenario, policy).run();
}

}  // namespace signalbox::bench
