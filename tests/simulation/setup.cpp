#include "tests/simulation/setup.hpp"

#include <algorithm>

namespace signalbox::simulation {

using namespace std::chrono_literals;

namespace {

constexpr duration no_fault = duration::max();

scheduling::lifecycle_options random_life(world& w) {
  scheduling::lifecycle_options life;
  life.needs_lease = !w.chance(0.1);
  life.start_timeout = 20s;
  life.stop_grace = w.between(0s, 5s);
  life.drain_timeout = w.between(1s, 10s);
  life.idle_unload = w.chance(0.5) ? w.between(1s, 30s) : 0s;
  life.backoff = 500ms;
  life.max_backoff = 10s;
  life.expected_load = 2s;
  return life;
}

void make_faulty(world& w, model_setup& m) {
  m.load_fails = 0.5;
  m.load_hangs = 0.1;
  m.crashes = 0.5;
  m.hangs = w.chance(0.5) ? 0.3 : 0;
  // With several backends that never start, all of them refuse at once too seldom for the bound on
  // a wait (longest_wait).
  if (m.backends == 1 && w.chance(0.1)) m.load_fails = 1;
}

// Tickets that say how long they wait are never refused for its failures: it does not fail to load,
// so that their waits are bounded.
void make_external(model_setup& m) {
  m.backends = 1;
  m.life.external = m.life.pinned = true;
  m.life.needs_lease = false;
  m.life.idle_unload = 0s;
}

model_setup random_model(world& w) {
  model_setup m;
  m.backends = w.chance(0.5) ? 1 : static_cast<std::uint32_t>(1 + w.below(3));
  m.units = static_cast<std::uint32_t>(1 + w.below(8));
  m.life = random_life(w);
  m.need = {(1 + w.below(18)) * gib, 1};
  if (w.chance(0.3)) {
    make_faulty(w, m);
  } else if (w.chance(0.15)) {
    make_external(m);
  }
  m.load_time = w.between(100ms, 5s);
  m.shortest_service = w.between_magnitudes(1ms, 100ms);
  m.longest_service = m.shortest_service + w.between_magnitudes(10ms, 5s);
  m.queue_timeout = w.between_magnitudes(500ms, 120s);
  m.may_be_resent = w.chance(0.5) ? 1 : 0.5;
  m.says_keep = w.chance(0.2) ? 0.05 : 0;
  m.queue.limits = {m.units, static_cast<std::uint32_t>(w.below(w.chance(0.3) ? 30 : 300)),
                    w.between(100ms, 30s)};
  m.queue.expected_load = m.life.expected_load;
  return m;
}

// Pinned models leave room for everybody else.
void pin(model_setup& m) {
  m.backends = 1;
  m.need = {6 * gib, 1};
  m.is_pinned = m.life.pinned = m.life.needs_lease = true;
  m.life.external = false;
  m.life.idle_unload = 0s;
}

void place_on_gpus(world& w, setup& s, model_setup& m, bool may_be_exclusive) {
  if (may_be_exclusive && w.chance(0.5)) {
    m.need = scheduling::whole_machine;
    m.life.needs_lease = true;
    m.backends = 1;
  } else if (s.machine.gpu_memory.size() > 1 && w.chance(0.3)) {
    m.need.count = 2;
  } else if (w.chance(0.03)) {
    m.need.memory = 1000 * gib;  // fits nowhere
  }
}

fault_setup random_faults(world& w) {
  fault_setup f{no_fault, no_fault, no_fault, no_fault, no_fault, no_fault, no_fault};
  if (w.chance(0.2)) return f;
  for (auto* gap : {&f.runtime_crash, &f.queue_death, &f.backend_death, &f.pool_death,
                    &f.clients_gone, &f.preemption, &f.change}) {
    if (w.chance(0.6)) *gap = w.between_magnitudes(2s, 300s);
  }
  if (f.preemption != no_fault) f.preemption /= 20;
  return f;
}

// A turn: until the next one is overdue, load (or its timeout), residency, drain, stop, messages,
// the time until a hung runtime is given up; and a model may have to try as often as it takes until
// its tickets are refused.
duration longest_wait(const setup& s) {
  int holders = static_cast<int>(s.outsiders);
  for (const auto& m : s.models) holders += static_cast<int>(m.backends);
  const auto turn = s.machine.max_swap_wait + s.machine.min_residency + 20s + 10s + 5s + 2s + 25s;
  return turn * holders * 3;
}

// From mostly idle to more than there is room for.
duration arrival_gap(world& w, const setup& s) {
  double served_per_s = 0;  // if all models were resident
  for (const auto& m : s.models) {
    served_per_s += 2 * m.units * m.backends / to_seconds(m.shortest_service + m.longest_service);
  }
  const double load = to_seconds(w.between_magnitudes(10ms, 2s));
  return std::clamp<duration>(from_seconds(1 / (load * served_per_s)), 1ms, 5s);
}

}  // namespace

setup random_setup(world& w) {
  setup s;
  s.shards = static_cast<std::uint32_t>(1 + w.below(most_shards));
  s.same_urgency = w.chance(0.5);
  s.machine.gpu_memory.assign(1 + w.below(3), 24 * gib);
  s.machine.min_residency = w.between(0s, 5s);
  s.machine.max_swap_wait = w.between(1s, 30s);
  s.outsiders = w.chance(0.3) ? static_cast<std::uint32_t>(1 + w.below(2)) : 0;
  s.faults = random_faults(w);
  const auto count = 1 + w.below(5);
  const bool is_patient = w.chance(0.4);  // nobody's wait ends by its deadline
  const bool has_pinned = w.chance(0.3), has_exclusive = !has_pinned && w.chance(0.3);
  for (std::uint64_t m = 0; m < count; ++m) {
    s.models.push_back(random_model(w));
    if (has_pinned && m == 0) {
      pin(s.models.back());
    } else if (!s.models.back().life.external) {
      place_on_gpus(w, s, s.models.back(), has_exclusive);
    }
    if (is_patient) s.models.back().queue_timeout = 2h;
  }
  s.arrival_gap = arrival_gap(w, s);
  s.longest_wait = longest_wait(s);
  s.steps = std::uint64_t{1000} << w.below(8);
  s.stops_in_use = w.chance(0.4);
  return s;
}

}  // namespace signalbox::simulation
