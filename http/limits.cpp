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

// Calls add(name, value) for each field.
template <typename Add>
void for_each_limit_field(const principal& who, time_point now, Add add) {
  if (!who.account) return;
  const auto& limits = who.limits;
  const auto& account = who.account->limits;
  if (limits.requests_per_minute > 0) {
    const auto& state = account.requests();
    add("x-ratelimit-limit-requests", whole(limits.requests_per_minute));
    add("x-ratelimit-remaining-requests", whole(state.left(request_rate(limits), now)));
    add("x-ratelimit-reset-requests", seconds_text(state.until_full(now)));
  }
  if (limits.tokens_per_minute > 0) {
    const auto& state = account.tokens();
    add("x-ratelimit-limit-tokens", whole(limits.tokens_per_minute));
    add("x-ratelimit-remaining-tokens", whole(state.left(token_rate(limits), now)));
    add("x-ratelimit-reset-tokens", seconds_text(state.until_full(now)));
  }
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

void append_limit_fields(const principal& who, time_point now, std::string& lines) {
  for_each_limit_field(who, now, [&](std::string_view name, const std::string& value) {
    lines.append("\r\n").append(name).append(": ").append(value);
  });
}

void append_limit_fields(const principal& who, time_point now, extra_headers& headers) {
  for_each_limit_field(who, now, [&](const char* name, std::string value) {
    headers.emplace_back(name, std::move(value));
  });
}

limit_refusal refusal_of(const principal& who, const scheduling::limit_exceeded& exceeded) {
  limit_refusal refusal{message_of(who, exceeded.which), {}};
  const auto wait = std::chrono::ceil<std::chrono::seconds>(exceeded.retry_after);
  refusal.headers.emplace_back("Retry-After",
                               std::to_string(std::max<std::int64_t>(1, wait.count())));
  return refusal;
}

}  // namespace signalbox::http
