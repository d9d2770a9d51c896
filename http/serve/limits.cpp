#include "http/serve/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

namespace signalbox::http {

namespace {

using scheduling::limit_kind;
using scheduling::rate;
using scheduling::rate_limiter;

// Writes the fields of one answer without allocating: every answer has six of them.
class field_lines {
 public:
  void add_rate(std::string_view unit, const rate& r, const rate_limiter& state, time_point now) {
    add_name("limit", unit);
    put(static_cast<std::int64_t>(std::ceil(r.per_minute)));
    add_name("remaining", unit);
    put(static_cast<std::int64_t>(state.left(r, now)));
    add_name("reset", unit);  // "1.250s", a form that Go's and OpenAI's parsers accept
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(state.until_full(now)).count();
    put(ms / 1000);
    char* const point = end_;
    put(1000 + ms % 1000);
    *point = '.';  // replaces the 1 that keeps the leading zeros
    put("s");
  }
  std::string_view text() const { return {buffer_.data(), end_}; }

 private:
  void add_name(std::string_view what, std::string_view unit) {
    put("\r\nx-ratelimit-");
    put(what);
    put("-");
    put(unit);
    put(": ");
  }
  void put(std::string_view text) { end_ = std::copy(text.begin(), text.end(), end_); }
  void put(std::int64_t number) { end_ = std::to_chars(end_, buffer_.end(), number).ptr; }

  std::array<char, 512> buffer_;  // a line has 60 bytes at most
  char* end_ = buffer_.data();
};

std::string message_of(const principal& who, limit_kind which) {
  const auto& limits = who.limits;
  const auto text = [](auto limit, std::string_view of_what) {
    return fmt::format("This key or user is limited to {} {}.", limit, of_what);
  };
  switch (which) {
    case limit_kind::requests_per_minute:
      return text(limits.requests_per_minute, "requests a minute");
    case limit_kind::tokens_per_minute:
      return text(limits.tokens_per_minute, "tokens a minute");
    case limit_kind::max_concurrent:
      return text(limits.max_concurrent, "requests at once");
    case limit_kind::tokens_per_day:
      return text(limits.tokens_per_day, "tokens a day (UTC)");
  }
  return "This key or user is over a limit.";
}

}  // namespace

void append_limit_fields(const principal& who, time_point now, std::string& lines) {
  if (!who.account) return;
  const auto& limits = who.limits;
  const auto& account = who.account->limits;
  field_lines fields;
  if (limits.requests_per_minute > 0) {
    fields.add_rate("requests", request_rate(limits), account.requests(), now);
  }
  if (limits.tokens_per_minute > 0) {
    fields.add_rate("tokens", token_rate(limits), account.tokens(), now);
  }
  lines += fields.text();
}

limit_refusal refusal_of(const principal& who, const scheduling::limit_exceeded& exceeded) {
  limit_refusal refusal{message_of(who, exceeded.which), {}};
  const auto wait = std::chrono::ceil<std::chrono::seconds>(exceeded.retry_after);
  refusal.headers.emplace_back("Retry-After",
                               std::to_string(std::max<std::int64_t>(1, wait.count())));
  return refusal;
}

}  // namespace signalbox::http
