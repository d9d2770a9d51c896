// The gateway's own count of tokens, from its metrics: to be compared with what clients were told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bench/http_client.hpp"

namespace signalbox::bench {

struct token_counts {
  std::uint64_t prompt = 0, completion = 0;
  bool found = false;  // there is such a counter at all

  bool same_tokens(const token_counts& other) const {
    return prompt == other.prompt && completion == other.completion;
  }
};

// signalbox_tokens_total of /metrics, summed over all models (an alias counts under its model).
// Nothing, with the reason in `why`, when the metrics cannot be read. Before the first request the
// counters may not be there yet.
std::optional<token_counts> read_token_counts(const target& gateway, const std::string& key,
                                              std::string& why);

}  // namespace signalbox::bench
