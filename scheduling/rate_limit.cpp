#include "scheduling/rate_limit.hpp"

#include <algorithm>
#include <cmath>

namespace signalbox::scheduling {

namespace {

constexpr double minute_ns = 60e9;
// The most that can be owed, a day's worth: a runtime that reports too many tokens must not lock a
// key out for ever.
constexpr double owed_most_ns = 24 * 60 * minute_ns;
constexpr std::uint64_t units_mask = (std::uint64_t{1} << 48) - 1;
constexpr duration concurrent_retry = std::chrono::seconds(1);

std::int64_t ns(double value) {
  return static_cast<std::int64_t>(std::llround(value));
}

double burst_ns(const rate& r) {
  return minute_ns / r.per_minute * r.burst;
}

double cost_ns(const rate& r, double units) {
  return std::min(units * minute_ns / r.per_minute, owed_most_ns);
}

std::uint64_t pack(std::int32_t day, std::uint64_t units) {
  return static_cast<std::uint64_t>(static_cast<std::uint16_t>(day)) << 48 |
         std::min(units, units_mask);
}

}  // namespace

duration rate::interval() const {
  return duration(ns(minute_ns / per_minute));
}

// In the terms of I.371, a unit conforms if it comes at most the burst's time before the
// theoretical arrival time that it would lead to.
rate_limiter::verdict rate_limiter::take(const rate& r, double need, double cost, time_point now) {
  const double unit = minute_ns / r.per_minute;
  const std::int64_t at = now.time_since_epoch().count();
  auto full_at = full_at_.load(std::memory_order_relaxed);
  // No more can be owed than the burst and owed_most_ns; a clock that was set may say otherwise.
  const double latest = static_cast<double>(at) + burst_ns(r) + owed_most_ns;
  while (true) {
    // Written back even if this refuses, or what may be owed at most would grow as time passes.
    while (static_cast<double>(full_at) > latest) {
      const auto most = static_cast<std::int64_t>(latest);
      if (full_at_.compare_exchange_weak(full_at, most, std::memory_order_relaxed)) full_at = most;
    }
    const auto from = std::max(full_at, at);
    const double missing = static_cast<double>(from - at) + need * unit - burst_ns(r);
    if (missing > 0.5) return {false, duration(ns(std::ceil(missing)))};  // rounding: half a ns
    const auto charged = from + ns(cost_ns(r, cost));
    if (full_at_.compare_exchange_weak(full_at, charged, std::memory_order_relaxed)) {
      return {true, duration::zero()};
    }
  }
}

void rate_limiter::settle(const rate& r, double before, double after, time_point now) {
  const std::int64_t at = now.time_since_epoch().count();
  const auto more = ns(cost_ns(r, after) - cost_ns(r, before));
  auto full_at = full_at_.load(std::memory_order_relaxed);
  std::int64_t charged = 0;
  do {
    charged = std::min(std::max(full_at, at) + more, at + ns(owed_most_ns));
  } while (!full_at_.compare_exchange_weak(full_at, charged, std::memory_order_relaxed));
}

double rate_limiter::left(const rate& r, time_point now) const {
  const auto owed = static_cast<double>(until_full(now).count());
  return std::clamp((burst_ns(r) - owed) * r.per_minute / minute_ns, 0.0, r.burst);
}

duration rate_limiter::until_full(time_point now) const {
  return std::max(duration::zero(), full_at() - now);
}

void rate_limiter::restore(time_point full_at) {
  const std::int64_t at = full_at.time_since_epoch().count();
  auto seen = full_at_.load(std::memory_order_relaxed);
  while (seen < at && !full_at_.compare_exchange_weak(seen, at, std::memory_order_relaxed)) {
  }
}

void day_counter::add(std::int32_t day, std::uint64_t units) {
  auto seen = day_and_units_.load(std::memory_order_relaxed);
  std::uint64_t next = 0;
  do {
    const auto later = static_cast<std::int16_t>(day - static_cast<std::int32_t>(seen >> 48));
    if (seen != 0 && later < 0) return;  // the day is over
    const auto base = later == 0 ? seen & units_mask : 0;
    next = pack(day, base + std::min(units, units_mask));
  } while (!day_and_units_.compare_exchange_weak(seen, next, std::memory_order_relaxed));
}

void day_counter::take_back(std::int32_t day, std::uint64_t units) {
  auto seen = day_and_units_.load(std::memory_order_relaxed);
  std::uint64_t next = 0;
  do {
    if (seen >> 48 != pack(day, 0) >> 48) return;
    next = pack(day, (seen & units_mask) - std::min(units, seen & units_mask));
  } while (!day_and_units_.compare_exchange_weak(seen, next, std::memory_order_relaxed));
}

std::uint64_t day_counter::used(std::int32_t day) const {
  const auto seen = day_and_units_.load(std::memory_order_relaxed);
  return seen >> 48 == pack(day, 0) >> 48 ? seen & units_mask : 0;
}

rate request_rate(const key_limits& limits) {
  return {std::max(limits.requests_per_minute, least_per_minute), std::max(1.0, limits.burst)};
}

rate token_rate(const key_limits& limits) {
  return {std::max(limits.tokens_per_minute, least_per_minute),
          std::max(1.0, limits.tokens_per_minute)};
}

std::optional<limit_exceeded> limit_account::take_request(const key_limits& limits,
                                                          time_point now) {
  if (limits.requests_per_minute <= 0) return std::nullopt;
  const auto taken = requests_.take(request_rate(limits), 1, 1, now);
  if (taken.allowed) return std::nullopt;
  return limit_exceeded{limit_kind::requests_per_minute, taken.retry_after};
}

std::optional<limit_exceeded> limit_account::begin_inference(const key_limits& limits,
                                                             const token_charge& charge,
                                                             duration until_next, time_point now) {
  // Counts even without a limit, because one may be set while the request runs.
  const auto before = concurrent_.fetch_add(1, std::memory_order_relaxed);
  std::optional<limit_exceeded> exceeded;
  if (limits.max_concurrent > 0 && before >= limits.max_concurrent) {
    exceeded = {limit_kind::max_concurrent, concurrent_retry};
  } else {
    exceeded = take_tokens(limits, charge, until_next, now);
  }
  if (exceeded) {
    concurrent_.fetch_sub(1, std::memory_order_relaxed);
  } else {
    day_.add(charge.day, static_cast<std::uint64_t>(charge.estimate));
  }
  return exceeded;
}

std::optional<limit_exceeded> limit_account::take_tokens(const key_limits& limits,
                                                         const token_charge& charge,
                                                         duration until_next, time_point now) {
  if (limits.tokens_per_day > 0 && day_.used(charge.day) >= limits.tokens_per_day) {
    return limit_exceeded{limit_kind::tokens_per_day, until_next};
  }
  if (limits.tokens_per_minute <= 0) return std::nullopt;
  const auto taken = tokens_.take(token_rate(limits), 1, charge.estimate, now);
  if (taken.allowed) return std::nullopt;
  return limit_exceeded{limit_kind::tokens_per_minute, taken.retry_after};
}

std::optional<limit_exceeded> limit_account::charge_more(const key_limits& limits, std::int32_t day,
                                                         double tokens, duration until_next,
                                                         time_point now) {
  day_.add(day, static_cast<std::uint64_t>(std::min(tokens, static_cast<double>(units_mask))));
  if (limits.tokens_per_minute > 0) tokens_.settle(token_rate(limits), 0, tokens, now);
  return take_tokens(limits, {0, day}, until_next, now);
}

void limit_account::end_inference(const key_limits& limits, const token_charge& charge,
                                  double tokens, time_point now) {
  concurrent_.fetch_sub(1, std::memory_order_relaxed);
  const auto used =
      static_cast<std::uint64_t>(std::clamp(tokens, 0.0, static_cast<double>(units_mask)));
  const auto estimated = static_cast<std::uint64_t>(charge.estimate);
  if (used > estimated) {
    day_.add(charge.day, used - estimated);
  } else {
    day_.take_back(charge.day, estimated - used);
  }
  if (limits.tokens_per_minute > 0) {
    tokens_.settle(token_rate(limits), charge.estimate, tokens, now);
  }
}

void limit_account::restore_rates(time_point requests_full_at, time_point tokens_full_at) {
  requests_.restore(requests_full_at);
  tokens_.restore(tokens_full_at);
}

void limit_account::restore_day(std::int32_t day, std::uint64_t tokens) {
  const auto counted = day_.used(day);
  if (tokens > counted) day_.add(day, tokens - counted);
}

}  // namespace signalbox::scheduling
