// Simulates two clients of one model: the service of each under the gateway's fair share and under
// other policies. Time is simulated; the decisions are made by the real cores.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "scheduling/admission.hpp"

namespace signalbox::bench {

enum class sharing {
  fair,              // the virtual token counter: each client is a principal
  arrival,           // first come, first served
  requests_a_minute  // a limit for each client, then first come, first served
};

struct fairness_client {
  std::function<double(double)> requests_per_s;  // rate at a second of the run
  double prompt_tokens, completion_tokens;       // of each request
};

struct fairness_scenario {
  std::string name;
  fairness_client a, b;
};

// The model runs this many requests at once, each at this pace.
inline constexpr std::uint32_t fairness_units = 8;
inline constexpr double fairness_tokens_per_s = 50, fairness_prompt_tokens_per_s = 2000;
inline constexpr double fairness_seconds = 300, fairness_sample_s = 30;
inline constexpr double fairness_requests_a_minute = 120;  // about half of the model's capacity

struct fairness_result {
  std::vector<double> difference;  // service of a minus b at each sample, weighted tokens
  double greatest_gap = 0;         // largest change of it while both waited
  double bound = 0;                // the bound in the paper, for this run
  double served_a = 0, served_b = 0;
  double mean_wait_a_s = 0, mean_wait_b_s = 0;  // of the requests that began
  double idle = 0;                              // share of the model's time
};

std::vector<fairness_scenario> fairness_scenarios();
fairness_result simulate(const fairness_scenario& scenario, sharing policy);

}  // namespace signalbox::bench
