#include "access/usage_query.hpp"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>

#include "text/rfc3339.hpp"

namespace signalbox {

namespace {

using nlohmann::json;

constexpr int base64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
constexpr std::size_t max_cursor_bytes = 8192;

std::optional<int> digits(std::string_view text) {
  int value = 0;
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!plain) return std::nullopt;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::optional<std::int32_t> to_day(std::string_view year, std::string_view month,
                                   std::string_view day) {
  const auto y = digits(year), m = digits(month), d = digits(day);
  if (!y || !m || !d || *y < 1) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*y),
                                         std::chrono::month(static_cast<unsigned>(*m)),
                                         std::chrono::day(static_cast<unsigned>(*d))};
  if (!date.ok()) return std::nullopt;
  return static_cast<std::int32_t>(std::chrono::sys_days(date).time_since_epoch().count());
}

std::string encode(const std::string& text) {
  std::string out(sodium_base64_encoded_len(text.size(), base64), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(text.data()),
                    text.size(), base64);
  out.pop_back();  // the NUL
  return out;
}

std::optional<std::string> decode(const std::string& text) {
  if (text.size() > max_cursor_bytes) return std::nullopt;
  std::string out(text.size(), '\0');
  std::size_t length = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), text.data(),
                        text.size(), nullptr, &length, nullptr, base64) != 0) {
    return std::nullopt;
  }
  out.resize(length);
  return out;
}

unsigned bits_of(const usage_grouping& by) {
  return unsigned{by.day} | unsigned{by.key} << 1 | unsigned{by.client} << 2 |
         unsigned{by.model} << 3 | unsigned{by.source} << 4;
}

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::optional<std::int32_t> parse_day(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  return to_day(text.substr(0, 4), text.substr(5, 2), text.substr(8, 2));
}

std::optional<std::int32_t> parse_bucket(std::string_view text) {
  if (text.size() != 8) return std::nullopt;
  return to_day(text.substr(0, 4), text.substr(4, 2), text.substr(6, 2));
}

std::string day_text(std::int32_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

std::int32_t day_of(wall_time at) {
  const auto days = std::chrono::floor<std::chrono::days>(at);
  return static_cast<std::int32_t>(days.time_since_epoch().count());
}

std::optional<usage_grouping> parse_grouping(std::string_view text) {
  usage_grouping by;
  for (bool more = true; more;) {
    const auto comma = text.find(',');
    const auto word = text.substr(0, comma);
    bool* const part = word == "day"      ? &by.day
                       : word == "key"    ? &by.key
                       : word == "client" ? &by.client
                       : word == "model"  ? &by.model
                       : word == "source" ? &by.source
                                          : nullptr;
    if (part == nullptr) return std::nullopt;
    *part = true;
    more = comma != text.npos;
    if (more) text.remove_prefix(comma + 1);
  }
  return by;
}

std::string cursor_of(const usage_grouping& by, const usage_group& last) {
  return encode(
      dump({bits_of(by), last.day, last.key_id, last.client_id, last.model, last.source}));
}

std::optional<usage_group> parse_cursor(const usage_grouping& by, const std::string& text) {
  const auto plain = decode(text);
  if (!plain) return std::nullopt;
  const auto value = json::parse(*plain, nullptr, false);
  if (!value.is_array() || value.size() != 6 || value[0] != bits_of(by) ||
      !value[1].is_number_integer()) {
    return std::nullopt;
  }
  if (!std::all_of(value.begin() + 2, value.end(), [](const json& v) { return v.is_string(); })) {
    return std::nullopt;
  }
  constexpr std::int64_t last_day = 3'000'000;  // PostgreSQL and std::chrono can express it
  const auto day = value[1].get<std::int64_t>();
  if (day < 0 || day > last_day) return std::nullopt;
  usage_group group;
  group.day = static_cast<std::int32_t>(day);
  group.key_id = value[2].get<std::string>();
  group.client_id = value[3].get<std::string>();
  group.model = value[4].get<std::string>();
  group.source = value[5].get<std::string>();
  return group;
}

std::string key_cursor_of(const std::string& key_id) {
  return encode(key_id);
}

std::optional<std::string> parse_key_cursor(const std::string& text) {
  if (text.empty() || text == "0") return std::string();
  return decode(text);
}

json to_document(const usage_grouping& by, const usage_group& group) {
  json out{{"requests", group.requests},
           {"successes", group.successes},
           {"errors", group.errors},
           {"cancelled", group.cancelled},
           {"prompt_tokens", group.prompt_tokens},
           {"completion_tokens", group.completion_tokens},
           {"total_tokens", group.prompt_tokens + group.completion_tokens},
           {"cached_tokens", group.cached_tokens},
           {"reasoning_tokens", group.reasoning_tokens},
           {"gpu_seconds", us_to_seconds(group.gpu_us)},
           {"queue_seconds", us_to_seconds(group.queue_us)},
           {"estimated", group.estimated},
           {"last_seen", rfc3339(group.last_seen)}};
  if (by.day) out["day"] = day_text(group.day);
  if (by.key) out["key"] = group.key_id;
  if (by.client) out["client"] = group.client_id;
  if (by.model) out["model"] = group.model;
  if (by.source) out["source"] = group.source;
  return out;
}

json to_document(const key_usage& key, const std::optional<std::string>& bucket) {
  const double since_1970_s = to_seconds(key.last_seen.time_since_epoch());
  return {{"key_id", key.key_id},
          {"bucket", bucket ? json(*bucket) : json(nullptr)},
          {"request_total", key.requests},
          {"realtime_requests", key.realtime_requests},
          {"batch_requests", key.batch_requests},
          {"success_total", key.successes},
          // In seed 002 every request is either a success or an error.
          {"error_total", key.errors + key.cancelled},
          {"prompt_tokens", key.prompt_tokens},
          {"completion_tokens", key.completion_tokens},
          {"total_tokens", key.prompt_tokens + key.completion_tokens},
          {"last_model", key.last_model},
          {"last_source", key.last_source},
          {"last_scope", key.last_source},
          {"last_status", key.last_status == usage_status::success ? "success" : "error"},
          {"last_ts", since_1970_s}};
}

}  // namespace signalbox
