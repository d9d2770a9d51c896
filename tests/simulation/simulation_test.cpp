// The cores in a hostile world made from a seed. SIGNALBOX_SIM_SEEDS, SIGNALBOX_SIM_STEPS and
// SIGNALBOX_SIM_FIRST_SEED make it longer, or repeat one failure:
//   SIGNALBOX_SIM_FIRST_SEED=17 SIGNALBOX_SIM_SEEDS=1 test_simulation
#include <boost/test/unit_test.hpp>
#include <functional>
#include <string>

#include "config/load.hpp"
#include "tests/simulation/gateway.hpp"

using namespace signalbox;
using namespace signalbox::simulation;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t gib = 1ull << 30;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  auto text = config::process_environment()(name);
  return text ? std::stoull(*text) : otherwise;
}

// A machine and models that can all be served: what is pinned leaves room for everybody else.
setup random_setup(world& w) {
  setup s;
  s.shards = static_cast<std::uint32_t>(1 + w.below(3));
  s.same_urgency = w.chance(0.5);
  s.machine.gpu_memory.assign(1 + w.below(2), 24 * gib);
  s.machine.min_residency = w.between(0s, 5s);
  s.machine.max_swap_wait = w.between(1s, 30s);
  auto count = 1 + w.below(5);
  bool has_pinned = w.chance(0.3), has_exclusive = !has_pinned && w.chance(0.3);
  for (std::uint32_t m = 0; m < count; ++m) {
    model_setup one;
    one.limits = {.max_concurrent = static_cast<std::uint32_t>(1 + w.below(8)),
                  .max_waiting = static_cast<std::uint32_t>(w.below(30)),
                  .max_starvation = w.between(100ms, 30s)};
    one.life = {.needs_lease = !w.chance(0.1),
                .start_timeout = 20s,
                .stop_grace = w.between(0s, 5s),
                .drain_timeout = w.between(1s, 10s),
                .idle_unload = w.chance(0.5) ? w.between(1s, 30s) : 0s,
                .backoff = 500ms,
                .backoff_max = 10s,
                .expected_load = 2s};
    one.lease = {.holder = m, .need = {(1 + w.below(18)) * gib, 1}};
    if (has_pinned && m == 0) {
      one.lease.need.memory = 6 * gib;
      one.lease.is_pinned = true;
      one.life.pinned = true;
      one.life.needs_lease = true;
      one.life.idle_unload = 0s;
    } else if (has_exclusive && w.chance(0.5)) {
      one.lease.need = core::whole_machine;
    } else if (s.machine.gpu_memory.size() > 1 && w.chance(0.3)) {
      one.lease.need.count = 2;
    }
    bool is_bad = w.chance(0.4);
    one.load_fails = is_bad ? 0.5 : 0;
    one.load_hangs = is_bad ? 0.1 : 0;
    one.crashes = is_bad ? 0.5 : 0;
    one.load_time = w.between(100ms, 5s);
    s.models.push_back(one);
  }
  // A turn: until the next one is overdue, load (or its timeout), residency, drain, stop, messages;
  // and a model may have to try as often as it takes until its tickets are refused.
  auto turn = s.machine.max_swap_wait + s.machine.min_residency + 20s + 10s + 5s + 2s;
  s.longest_wait = turn * static_cast<int>(count) * 3;
  return s;
}

struct totals {
  std::size_t steps = 0, granted = 0, refused = 0, loads = 0;
};

// Requests come in bursts, mostly for the first models, until `until` steps were made.
void arrive(world& w, gateway& g, std::uint64_t until) {
  if (w.steps() >= until) return;
  auto model = std::min(w.below(g.models()), w.below(g.models()));
  for (auto burst = w.chance(0.1) ? w.below(30) : 1; burst > 0; --burst) g.client_arrives(model);
  if (w.chance(0.01)) g.crash_something();
  auto gap = w.chance(0.05) ? w.between(0s, 20s) : w.between(0ms, 500ms);
  w.at(w.now() + gap, [&w, &g, until] { arrive(w, g, until); });
}

void run_until(world& w, gateway& g, std::uint64_t most_steps, const char* what,
               const std::function<bool()>& done) {
  for (std::uint64_t n = 0; !done(); ++n) {
    w.require(n < most_steps, what);
    if (!w.step()) {
      w.require(done(), what);
      return;
    }
    g.check();
  }
}

void run(world& w, gateway& g, std::uint64_t steps, totals& sum) {
  g.start();
  arrive(w, g, steps);
  run_until(w, g, steps + 1, "events go on", [&] { return w.steps() >= steps; });
  run_until(w, g, 1000000, "everything ends", [&] { return g.everything_ended(); });
  auto settled = w.now() + 60s;
  bool is_settled = false;
  w.at(settled, [&] { is_settled = true; });
  run_until(w, g, 1000000, "messages arrive", [&] { return is_settled; });
  g.stop_all();
  for (std::uint64_t n = 0; w.step(); ++n) {
    w.require(n < 1000000, "everything stops");
    g.check();
  }
  g.check_all_released();
  sum.steps += w.steps();
  sum.granted += g.granted();
  sum.refused += g.refused();
  sum.loads += g.loads();
}

}  // namespace

BOOST_AUTO_TEST_CASE(rules_hold_in_a_hostile_world) {
  auto first = from_environment("SIGNALBOX_SIM_FIRST_SEED", 1);
  auto seeds = from_environment("SIGNALBOX_SIM_SEEDS", 300);
  auto steps = from_environment("SIGNALBOX_SIM_STEPS", 4000);
  BOOST_TEST_MESSAGE("seeds " << first << " to " << first + seeds - 1);
  totals sum;
  for (auto seed = first; seed < first + seeds; ++seed) {
    world w(seed);
    gateway g(w, random_setup(w));
    try {
      run(w, g, steps, sum);
    } catch (const broken_rule& e) {
      BOOST_FAIL("seed " << seed << ": " << e.what() << "\n" << w.history() << g.describe());
    }
  }
  BOOST_TEST_MESSAGE(sum.steps << " steps, " << sum.granted << " grants, " << sum.refused
                               << " refusals, " << sum.loads << " loads");
  // A world in which nothing happens proves nothing.
  BOOST_TEST(sum.granted > seeds);
  BOOST_TEST(sum.refused > 0);
  BOOST_TEST(sum.loads > seeds);
}
