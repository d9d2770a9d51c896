// What one key may use: requests and tokens a minute by the generic cell rate algorithm (GCRA,
// ITU-T I.371), requests at once, tokens a day. One account for each key, shared by all shards: a
// few atomic numbers, so that a limit of N admits N however many threads ask. Which limits apply is
// told with every call, so that they may change while what was used stays.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// A slower one could not be told from none by who waits for it: a unit comes back in a day at
// least.
constexpr double least_per_minute = 1.0 / (24 * 60);

// 0 or less: no such limit.
struct key_limits {
  double requests_per_minute = 0;  // at least least_per_minute
  double burst = 10;               // requests at once after a pause; below 1: 1
  double tokens_per_minute = 0;
  std::uint32_t max_concurrent = 0;  // inference requests, waiting or running
  std::uint64_t tokens_per_day = 0;  // UTC days
};

// Units that come back at an even pace, up to `burst` of them; one a day at least.
struct rate {
  double per_minute = 0;
  double burst = 1;

  duration interval() const;  // between two units
};

// The state of one such limit: the theoretical arrival time, at which all units are there again.
class rate_limiter {
 public:
  struct verdict {
    bool allowed = false;
    duration retry_after{};  // when not allowed: the least wait after which it would be
  };
  // Takes `cost` units when at least `need` are there; what is missing then is owed.
  verdict take(const rate& r, double need, double cost, time_point now);
  // What was taken as `before` units has become `after`.
  void settle(const rate& r, double before, double after, time_point now);

  double left(const rate& r, time_point now) const;  // units; 0 while some are owed
  duration until_full(time_point now) const;

  // For keeping it over a restart.
  time_point full_at() const { return time_point(duration(full_at_.load())); }
  void restore(time_point full_at);  // no effect when it is later already

 private:
  std::atomic<std::int64_t> full_at_{0};  // time_point as nanoseconds
};

// How much was used today. Both in one number, so that midnight loses nothing.
class day_counter {
 public:
  void add(std::int32_t day, std::uint64_t units);  // days since 1970-01-01, up to 65535
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

struct limit_exceeded {
  limit_kind which;
  duration retry_after;
};

// What was taken for one inference request, to be settled when it ends.
struct token_charge {
  double estimate = 0;
  std::int32_t day = 0;
};

class limit_account {
 public:
  std::optional<limit_exceeded> take_request(const key_limits& limits, time_point now);
  // For one inference request of about so many tokens. When it is allowed, end_inference() must
  // follow, once. `until_midnight`: UTC.
  std::optional<limit_exceeded> begin_inference(const key_limits& limits,
                                                const token_charge& charge, duration until_midnight,
                                                time_point now);
  void end_inference(const key_limits& limits, const token_charge& charge, double tokens,
                     time_point now);

  const rate_limiter& requests() const { return requests_; }
  const rate_limiter& tokens() const { return tokens_; }
  std::uint32_t concurrent() const { return concurrent_.load(); }
  std::uint64_t tokens_of(std::int32_t day) const { return day_.used(day); }
  // What an earlier process had counted, unless this one has counted more.
  void restore_rates(time_point requests_full_at, time_point tokens_full_at);
  void restore_day(std::int32_t day, std::uint64_t tokens);

 private:
  rate_limiter requests_, tokens_;
  std::atomic<std::uint32_t> concurrent_{0};
  day_counter day_;
};

rate request_rate(const key_limits& limits);
rate token_rate(const key_limits& limits);

}  // namespace signalbox::scheduling
