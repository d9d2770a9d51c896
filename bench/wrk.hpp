// One run of wrk against one contender.
#pragma once

#include <cstdint>
#include <string>

#include "bench/contenders.hpp"

namespace signalbox::bench {

struct wrk_result {
  double requests_per_s = 0, p50_us = 0, p99_us = 0;
  double cpu_us_per_request = 0;  // of the contender; 0: direct
};

// Sends the same request again and again for some seconds. Before and after, it checks that one
// request gets exactly the expected answer. Throws std::runtime_error when any answer was not a
// 200, or after a connection or time-out error.
wrk_result run_wrk(const workbench& bench, const contender& way, const chat_load& load,
                   int connections, int seconds);

}  // namespace signalbox::bench
