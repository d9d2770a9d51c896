// The scenarios of "Fairness in Serving Large Language Models", as a table of service over time.
#include <fmt/format.h>

#include <iostream>

#include "bench/fairness.hpp"
#include "bench/figures.hpp"

namespace signalbox::bench {

namespace {

constexpr std::pair<sharing, const char*> policies[] = {
    {sharing::fair, "fair share"},
    {sharing::arrival, "arrival"},
    {sharing::requests_a_minute, "120 requests/min"}};

void print_head(const fairness_scenario& scenario, std::size_t samples) {
  std::cout << "\n" << scenario.name << "\n" << fmt::format("{:<17}", "");
  for (std::size_t i = 1; i <= samples; ++i) {
    std::cout << fmt::format("{:>6.0f}s", fairness_sample_s * static_cast<double>(i));
  }
  std::cout << "   both wait  wait a  wait b  idle\n";
}

void print_row(const char* name, const fairness_result& r) {
  std::cout << fmt::format("{:<17}", name);
  for (const auto difference : r.difference)
    std::cout << fmt::format("{:>7.1f}", difference / 1000);
  std::cout << fmt::format("{:>12.1f}{:>7.1f}s{:>7.1f}s{:>5.0f}%\n", r.greatest_gap / 1000,
                           r.mean_wait_a_s, r.mean_wait_b_s, 100 * r.idle);
}

}  // namespace

void measure_fairness(report& out) {
  std::cout << "\nService of a minus service of b, thousands of weighted tokens (simulated time). "
               "Both wait: how\nfar it moved while both did.\n";
  auto& part = out.part("fairness");
  for (const auto& scenario : fairness_scenarios()) {
    const auto title = scenario.name.substr(0, scenario.name.find(':'));
    double bound_of_fair = 0;
    for (const auto& [policy, name] : policies) {
      const auto r = simulate(scenario, policy);
      if (policy == sharing::fair) {
        print_head(scenario, r.difference.size());
        bound_of_fair = r.bound;
        out.figure("fair share, " + title + ": gap / bound", {r.greatest_gap / r.bound}, "x",
                   bound::at_most, 1);
      }
      print_row(name, r);
      part[title][name] = {{"difference", r.difference},
                           {"greatest_gap", r.greatest_gap},
                           {"served_a", r.served_a},
                           {"served_b", r.served_b},
                           {"mean_wait_a_s", r.mean_wait_a_s},
                           {"mean_wait_b_s", r.mean_wait_b_s},
                           {"idle", r.idle}};
    }
    std::cout << fmt::format("the paper's bound: {:.1f}\n", bound_of_fair / 1000);
  }
}

}  // namespace signalbox::bench
