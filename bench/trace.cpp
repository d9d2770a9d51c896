#include "bench/trace.hpp"

#include <time.h>

#include <charconv>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace signalbox::bench {
namespace {

constexpr std::uint32_t max_tokens = 1'000'000;
constexpr std::size_t max_requests = 5'000'000;

std::optional<std::uint32_t> count(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > max_tokens) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::chrono::nanoseconds> timestamp(const std::string& text) {
  std::tm parts{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%d %H:%M:%S", &parts);
  if (!rest) return std::nullopt;
  std::chrono::nanoseconds time = std::chrono::seconds(timegm(&parts));
  if (*rest == '\0') return time;
  if (*rest != '.') return std::nullopt;
  std::int64_t unit = 100'000'000;
  for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10) {
    time += std::chrono::nanoseconds((*rest - '0') * unit);
  }
  return *rest == '\0' ? std::optional(time) : std::nullopt;
}

std::optional<trace_request> parse(const std::string& line) {
  const auto first = line.find(','), second = line.find(',', first + 1);
  if (first == std::string::npos || second == std::string::npos) return std::nullopt;
  const std::string_view view = line;
  const auto time = timestamp(line.substr(0, first));
  const auto prompt = count(view.substr(first + 1, second - first - 1));
  const auto completion = count(view.substr(second + 1));
  if (!time || !prompt || !completion) return std::nullopt;
  return trace_request{*time, *prompt, *completion};
}

}  // namespace

std::vector<trace_request> load_trace(const std::string& file, std::size_t limit) {
  std::ifstream input(file);
  if (!input) throw std::runtime_error("cannot read " + file);
  std::vector<trace_request> trace;
  std::string line;
  std::getline(input, line);  // the header
  for (std::size_t number = 2; std::getline(input, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    const auto request = parse(line);
    const auto where = file + ":" + std::to_string(number) + ": ";
    if (!request) throw std::runtime_error(where + "not TIMESTAMP,ContextTokens,GeneratedTokens");
    if (!trace.empty() && request->arrival < trace.back().arrival) {
      throw std::runtime_error(where + "earlier than the line before");
    }
    if (trace.size() == max_requests) throw std::runtime_error(where + "too many requests");
    trace.push_back(*request);
    if (trace.size() == limit) break;
  }
  if (trace.empty()) throw std::runtime_error(file + " holds no request");
  const auto begin = trace.front().arrival;
  for (auto& request : trace) request.arrival -= begin;
  return trace;
}

}  // namespace signalbox::bench
