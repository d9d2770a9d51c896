#include "http/limits.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace signalbox::http {

namespace {

using scheduling::limit_kind;

std::string whole(double value) {
  return std::to_string(std::llround(std::floor(value)));
}

// "1.250s", which Go's and OpenAI's parsers take.
std::string seconds_text(duration value) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(value).count();
  auto fraction = std::to_string(1000 + ms % 1000);
  return std::to_string(ms / 1000) + "." + fraction.substr(1) + "s";
}

void add(extra_headers& headers, const std::string& what, const scheduling::rate& rate,
         double limit, const scheduling::rate_limiter& state, time_point now) {
  headers.emplace_back("x-ratelimit-limit-" + what, whole(limit));
  headers.emplace_back("x-ratelimit-remaining-" + what, whole(state.left(rate, now)));
  headers.emplace_back("x-ratelimit-reset-" + what, seconds_text(state.until_full(now)));
}

std::string message_of(const principal& who, limit_kind which) {
  const auto& limits = who.limits;
  switch (which) {
    case limit_kind::requests_per_minute:
      return "This key may send " + whole(limits.requests_per_minute) + " requests a minute.";
    case limit_kind::tokens_per_minute:
      return "This key may use " + whole(limits.tokens_per_minute) + " tokens a minute.";
    case limit_kind::max_concurrent:
      return "This key may have " + std::to_string(limits.max_concurrent) + " requests at once.";
    case limit_kind::tokens_per_day:
      return "This key may use " + std::to_string(limits.tokens_per_day) + " tokens a day (UTC).";
  }
  return "This key is over one of its limits.";
}

}  // namespace

extra_headers limit_headers(const principal& who, time_point now) {
  extra_headers headers;
  if (!who.account) return headers;
  const auto& limits = who.limits;
  const auto& account = who.account->limits;
  if (limits.requests_per_minute > 0) {
    add(headers, "requests", scheduling::request_rate(limits), limits.requests_per_minute,
        account.requests(), now);
  }
  if (limits.tokens_per_minute > 0) {
    add(headers, "tokens", scheduling::token_rate(limits), limits.tokens_per_minute,
        account.tokens(), now);
  }
  return headers;
}

limit_refusal refusal_of(const principal& who, const scheduling::limit_exceeded& exceeded,
                         time_point now) {
  limit_refusal refusal{message_of(who, exceeded.which), limit_headers(who, now)};
  const auto wait = std::chrono::ceil<std::chrono::seconds>(exceeded.retry_after);
  refusal.headers.emplace_back("Retry-After",
                               std::to_string(std::max<std::int64_t>(1, wait.count())));
  return refusal;
}

}  // namespace signalbox::http
