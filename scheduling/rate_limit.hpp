// Limits what one key may use: requests and tokens a minute by the generic cell rate algorithm
// (GCRA, ITU-T I.371), requests at once, and tokens a day. Each key has one account, which all
// shards share. It is a few atomic numbers, so that a limit of N admits N however many threads ask.
// Every call passes the limits that apply, so that they may change while the counts stay.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// The lowest rate: one unit a day. A client could not tell a slower one from none.
constexpr double least_per_minute = 1.0 / (24 * 60);

// The limits of one key. A limit of 0 or less does not apply.
struct key_limits {
  double requests_per_minute = 0;  // at least least_per_minute
  double burst = 10;               // requests at once after a pause; values below 1 count as 1
  double tokens_per_minute = 0;
  std::uint32_t max_concurrent = 0;  // inference requests, waiting or running
  std::uint64_t tokens_per_day = 0;  // as day_clock has it
};

// A rate at which units come back evenly, up to `burst` of them. It is at least one unit a day.
struct rate {
  double per_minute = 0;
  double burst = 1;

  duration interval() const;  // between two units
};

// The state of one rate limit. It is the algorithm's theoretical arrival time: the time at which
// all units are back.
class rate_limiter {
 public:
  struct verdict {
    bool allowed = false;
    duration retry_after{};  // if not allowed, the shortest wait after which it would be
  };
  // Takes `cost` units if at least `need` are available. Units beyond those available are owed.
  verdict take(const rate& r, double need, double cost, time_point now);
  // Corrects an earlier cost of `before` units to `after` units.
  void settle(const rate& r, double before, double after, time_point now);

  double left(const rate& r, time_point now) const;  // units; 0 while some are owed
  duration until_full(time_point now) const;

  // The state as it is kept over a restart.
  time_point full_at() const { return time_point(duration(full_at_.load())); }
  // Ignored if the present value is later. A clock that was set between two processes may have made
  // it any time: take() believes no more than can be owed.
  void restore(time_point full_at);

 private:
  std::atomic<std::int64_t> full_at_{0};  // time_point as nanoseconds
};

// Counts the units used today. The day and the count share one atomic number, so that no count is
// lost at midnight.
class day_counter {
 public:
  void add(std::int32_t day, std::uint64_t units);  // day: counted_day::number
  void take_back(std::int32_t day, std::uint64_t units);
  std::uint64_t used(std::int32_t day) const;

 private:
  std::atomic<std::uint64_t> day_and_units_{0};
};

enum class limit_kind : std::uint8_t {
  requests_per_minute,
  tokens_per_minute,
  max_concurrent,
  tokens_per_day
};

// The limit that refuses a request.
struct limit_exceeded {
  limit_kind which;
  duration retry_after;
};

// The tokens charged for an inference request when it begins, and corrected when it ends.
struct token_charge {
  double estimate = 0;   // tokens
  std::int32_t day = 0;  // as for day_counter
};

// All that one key has used of its limits.
class limit_account {
 public:
  std::optional<limit_exceeded> take_request(const key_limits& limits, time_point now);
  // Begins an inference request of about `charge.estimate` tokens. If it is allowed,
  // end_inference() must follow once. `until_next` is the time to the end of the day.
  std::optional<limit_exceeded> begin_inference(const key_limits& limits,
                                                const token_charge& charge, duration until_next,
                                                time_point now);
  void end_inference(const key_limits& limits, const token_charge& charge, double tokens,
                     time_point now);
  // Charges an inference request that goes on for more tokens, at least 0, which end_inference() is
  // not told of again. Returns the limit of tokens that is reached, if one is; the request may end
  // then, or go on.
  std::optional<limit_exceeded> charge_more(const key_limits& limits, std::int32_t day,
                                            double tokens, duration until_next, time_point now);

  const rate_limiter& requests() const { return requests_; }
  const rate_limiter& tokens() const { return tokens_; }
  std::uint32_t concurrent() const { return concurrent_.load(); }
  std::uint64_t tokens_of(std::int32_t day) const { return day_.used(day); }
  // These take over the counts of an earlier process, unless this one has counted more.
  void restore_rates(time_point requests_full_at, time_point tokens_full_at);
  void restore_day(std::int32_t day, std::uint64_t tokens);

 private:
  std::optional<limit_exceeded> take_tokens(const key_limits& limits, const token_charge& charge,
                                            duration until_next, time_point now);

  rate_limiter requests_, tokens_;
  std::atomic<std::uint32_t> concurrent_{0};
  day_counter day_;
};

rate request_rate(const key_limits& limits);
rate token_rate(const key_limits& limits);

}  // namespace signalbox::scheduling
