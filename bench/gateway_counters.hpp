// The token counts of the gateway, from its metrics, to compare with what clients were told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bench/http_client.hpp"

namespace signalbox::bench {

struct token_counts {
  std::uint64_t prompt = 0, completion = 0;
  bool found = false;  // whether the counter exists

  bool same_tokens(const token_counts& other) const {
    return prompt == other.prompt && completion == other.completion;
  }
};

// Reads signalbox_tokens_total, summed over all models (an alias counts under its model). Returns
// nothing, with the reason in `why`, when the metrics cannot be read. The counters may be missing
// before the first request.
std::optional<token_counts> read_token_counts(const target& gateway, const std::string& key,
                                              std::string& why);

}  // namespace signalbox::bench
