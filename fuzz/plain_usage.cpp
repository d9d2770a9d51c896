#include "fuzz/plain_usage.hpp"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "fuzz/support.hpp"

namespace signalbox::fuzz {

namespace {

using http::token_usage;

constexpr std::uint64_t most = 1'000'000'000;

std::optional<std::uint64_t> count(const plain_json& value) {
  if (!value.is_number() || value.get<double>() < 0) return std::nullopt;
  return static_cast<std::uint64_t>(std::min(value.get<double>(), static_cast<double>(most)));
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> all) {
  return std::find(all.begin(), all.end(), text) != all.end();
}

// The last of several names of a number counts.
token_usage read_report(const plain_json& report) {
  token_usage usage;
  std::uint64_t cache_read = 0, cache_written = 0;
  for (const auto& [key, value] : report.items()) {
    if (is_one_of(key,
                  {"prompt_tokens", "input_tokens", "prompt_eval_count", "tokens_evaluated"})) {
      usage.prompt = count(value);
    } else if (is_one_of(
                   key, {"completion_tokens", "output_tokens", "eval_count", "tokens_predicted"})) {
      usage.completion = count(value);
    } else if (key == "cache_read_input_tokens") {
      cache_read = count(value).value_or(0);
    } else if (key == "cache_creation_input_tokens") {
      cache_written = count(value).value_or(0);
    } else if (key.ends_with("_tokens_details") && value.is_object()) {
      if (value.contains("cached_tokens")) usage.cached = count(value["cached_tokens"]);
      if (value.contains("reasoning_tokens")) usage.reasoning = count(value["reasoning_tokens"]);
    }
  }
  if (usage.prompt && cache_read + cache_written > 0) {
    usage.prompt = std::min(*usage.prompt + cache_read + cache_written, most);
    usage.cached = cache_read;
  }
  const bool is_zero = usage.prompt.value_or(0) == 0 && usage.completion.value_or(0) == 0;
  return is_zero ? token_usage() : usage;
}

token_usage usage_of_object(const plain_json& answer) {
  token_usage usage;
  auto counts = plain_json::object();  // without an object for them
  for (const auto& [key, value] : answer.items()) {
    if (key == "usage" && value.is_object()) usage.replace_by(read_report(value));
    if (is_one_of(key, {"message", "response"}) && value.is_object() && value.contains("usage") &&
        value["usage"].is_object()) {
      usage.replace_by(read_report(value["usage"]));
    }
    if (key.ends_with("eval_count") || is_one_of(key, {"tokens_evaluated", "tokens_predicted"})) {
      counts[key] = value;
    }
  }
  const auto plain = read_report(counts);
  if (plain.is_told()) usage.replace_by(plain);
  return usage;
}

}  // namespace

http::token_usage plain_usage(const plain_json& answer) {
  if (answer.is_object()) return usage_of_object(answer);
  token_usage sum;
  if (!answer.is_array()) return sum;
  for (const auto& one : answer) {
    if (!one.is_object()) break;
    sum.add(usage_of_object(one));
  }
  return sum;
}

bool is_same(const token_usage& a, const token_usage& b) {
  return a.prompt == b.prompt && a.completion == b.completion && a.cached == b.cached &&
         a.reasoning == b.reasoning;
}

void require_bounds(const token_usage& usage) {
  for (const auto number : {usage.prompt, usage.completion, usage.cached, usage.reasoning}) {
    require(number.value_or(0) <= most, "no count of tokens is over a thousand million");
  }
}

}  // namespace signalbox::fuzz
