// signalbox-simulate: the cores and the gates in hostile worlds, one after the other, until a rule
// breaks or there were as many steps as asked for.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <random>

#include "tests/simulation/run.hpp"

using namespace signalbox::simulation;

namespace {

struct options {
  std::uint64_t seed = 0;
  std::uint64_t steps = 1000000;
};

constexpr double progress_gap_s = 10;

void print(const char* what, const totals& sum, std::uint64_t worlds, double elapsed_s) {
  std::printf(
      "%s %llu steps in %llu worlds, %.0f steps/s: %llu clients, %llu tickets and %llu credits "
      "granted, %llu refused, %llu preempted, %llu loads, %llu swaps, %llu deaths\n",
      what, static_cast<unsigned long long>(sum.steps), static_cast<unsigned long long>(worlds),
      static_cast<double>(sum.steps) / elapsed_s, static_cast<unsigned long long>(sum.clients),
      static_cast<unsigned long long>(sum.granted), static_cast<unsigned long long>(sum.by_credit),
      static_cast<unsigned long long>(sum.refused), static_cast<unsigned long long>(sum.preempted),
      static_cast<unsigned long long>(sum.loads), static_cast<unsigned long long>(sum.swaps),
      static_cast<unsigned long long>(sum.deaths));
  std::fflush(stdout);
}

// The first world is of this seed, each next one of the next number.
void simulate(const options& o) {
  using clock = std::chrono::steady_clock;
  const auto start = clock::now();
  const auto elapsed_s = [&] {
    return std::chrono::duration<double>(clock::now() - start).count();
  };
  totals sum;
  double told_s = 0;
  std::uint64_t seed = o.seed;
  for (; sum.steps < o.steps; ++seed) {
    sum.add(run_world(seed));
    if (elapsed_s() < told_s + progress_gap_s) continue;
    told_s = elapsed_s();
    print("...", sum, seed - o.seed + 1, told_s);
  }
  print("clean:", sum, seed - o.seed, elapsed_s());
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  o.seed = std::random_device{}();
  CLI::App app(
      "Runs the gateway's cores in simulated, hostile worlds, and checks their rules.\n"
      "A rule that breaks is printed with the seed of its world: --seed repeats it.");
  app.add_option("--seed", o.seed, "of the first world; a random one when it is left out");
  app.add_option("--steps", o.steps, "how many at least, over all worlds")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  std::printf("seed %llu\n", static_cast<unsigned long long>(o.seed));
  std::fflush(stdout);
  try {
    simulate(o);
  } catch (const broken_rule& e) {
    std::printf("broken: %s", e.what());
    return 1;
  }
  return 0;
}
