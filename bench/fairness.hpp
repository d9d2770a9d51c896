// Two clients of one model on simulated time: what each was served, under the gateway's fair share
// and under what others do instead. The decisions are the real cores'.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "scheduling/admission.hpp"

namespace signalbox::bench {

enum class sharing {
  fair,              // the virtual token counter: each client is a principal
  arrival,           // first come, first served
  requests_a_minute  // each client may send so many, the rest is refused; first come, first served
};

struct fairness_client {
  std::function<double(double)> requests_per_s;  // at a second of the run
  double prompt_tokens, completion_tokens;       // of each request
};

struct fairness_scenario {
  std::string name;
  fairness_client a, b;
};

// The model: so many requests at once, each one generating at this pace.
inline constexpr std::uint32_t fairness_units = 8;
inline constexpr double fairness_tokens_per_s = 50, fairness_prompt_tokens_per_s = 2000;
inline constexpr double fairness_seconds = 300, fairness_sample_s = 30;
inline constexpr double fairness_requests_a_minute = 120;  // about half of what the model can do

struct fairness_result {
  std::vector<double> difference;  // service of a minus b at each sample, weighted tokens
  double greatest_gap = 0;         // how far it moved while both waited
  double bound = 0;                // of the paper, for this run
  double served_a = 0, served_b = 0;
  double mean_wait_a_s = 0, mean_wait_b_s = 0;  // of what began
  double idle = 0;                              // share of the model's time
};

std::vector<fairness_scenario> fairness_scenarios();
fairness_result simulate(const fairness_scenario& scenario, sharing policy);

}  // namespace signalbox::bench
