#include "bench/gateway_counters.hpp"

#include <charconv>
#include <sstream>

namespace signalbox::bench {

std::optional<token_counts> read_token_counts(const target& gateway, const std::string& key,
                                              std::string& why) {
  const auto got = fetch(gateway, get_request(gateway, "/metrics", key), std::chrono::seconds(10));
  if (got.end != exchange_end::complete || got.status != 200) {
    why = std::string("/metrics: ") + to_string(got.end) + ", HTTP " + std::to_string(got.status);
    return std::nullopt;
  }
  token_counts counts;
  std::istringstream text(got.body);
  for (std::string line; std::getline(text, line);) {
    const auto value_at = line.find("} ");
    if (!line.starts_with("signalbox_tokens_total{") || value_at == std::string::npos) continue;
    counts.found = true;
    double value = 0;
    std::from_chars(line.data() + value_at + 2, line.data() + line.size(), value);
    const auto tokens = static_cast<std::uint64_t>(value);
    if (line.find("kind=\"prompt\"") < value_at) counts.prompt += tokens;
    if (line.find("kind=\"completion\"") < value_at) counts.completion += tokens;
  }
  return counts;
}

}  // namespace signalbox::bench
