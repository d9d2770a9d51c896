#include "tests/simulation/run.hpp"

#include <algorithm>

namespace signalbox::simulation {

using namespace std::chrono_literals;

namespace {

// Enough for whatever is to end; more is an endless loop.
constexpr std::uint64_t most_steps_to_end = 3000000;

class run {
 public:
  explicit run(std::uint64_t seed) : w_(seed), g_(w_, random_setup(w_)) {}

  totals go();
  std::string report() const { return w_.history() + g_.describe(); }

 private:
  bool is_over() const { return w_.steps() >= g_.s.steps; }
  void arrive();
  void plan_fault(duration gap, void (run::*fault)());
  void plan_faults();
  void run_until(const char* what, const std::function<bool()>& done);
  void settle();
  void stop();

  void crash_runtime() { g_.gpus.crash_one(); }
  void kill_queue() { g_.supervisor.kill_a_queue(); }
  void kill_backend() { g_.supervisor.kill_a_backend(); }
  void kill_pool() { g_.supervisor.kill_pool(); }
  void end_outsider() { g_.supervisor.end_an_outsider(); }
  void clients_gone() { g_.shards[w_.below(g_.shards.size())]->clients_gone(); }
  void preempt();
  void replace_backend() { g_.supervisor.replace_a_backend(); }
  void change_units();

  world w_;
  gateway g_;
};

// Clients come alone or in bursts, with pauses.
void run::arrive() {
  if (is_over()) return;
  for (auto burst = w_.chance(0.05) ? w_.below(30) : 1; burst > 0; --burst) g_.client_arrives();
  const auto gap = w_.chance(0.002) ? w_.between(0s, 20s) : w_.between(0ms, 2 * g_.s.arrival_gap);
  w_.after(gap, [this] { arrive(); });
}

void run::plan_fault(duration gap, void (run::*fault)()) {
  if (gap == duration::max()) return;
  // A misfortune seldom comes alone.
  const auto next = w_.chance(0.3) ? w_.between(0s, 1s) : w_.between(0s, 2 * gap);
  w_.after(next, [this, gap, fault] {
    if (is_over()) return;
    (this->*fault)();
    plan_fault(gap, fault);
  });
}

void run::plan_faults() {
  const auto& f = g_.s.faults;
  plan_fault(f.runtime_crash, &run::crash_runtime);
  plan_fault(f.queue_death, &run::kill_queue);
  plan_fault(f.backend_death, &run::kill_backend);
  plan_fault(f.pool_death, &run::kill_pool);
  plan_fault(f.clients_gone, &run::clients_gone);
  plan_fault(f.preemption, &run::preempt);
  plan_fault(60s, &run::end_outsider);
  plan_fault(f.change, &run::replace_backend);
  plan_fault(f.change, &run::change_units);
}

void run::preempt() {
  const auto m = static_cast<model_index>(w_.below(g_.s.models.size()));
  const bool is_realtime = g_.s.same_urgency || w_.chance(0.3);
  const auto work = is_realtime ? work_class::realtime : work_class::batch;
  send(w_, nobody, g_.supervisor.queue(m), preempt_class{work});
}

void run::change_units() {
  const auto m = w_.below(g_.s.models.size());
  const auto most = g_.s.models[m].units;
  g_.change_units(static_cast<model_index>(m), static_cast<std::uint32_t>(1 + w_.below(most)));
}

void run::run_until(const char* what, const std::function<bool()>& done) {
  for (const auto first = w_.steps(); !done();) {
    w_.require(w_.steps() - first < most_steps_to_end, what);
    if (!w_.step()) return w_.require(done(), what);
    g_.check();
  }
}

// Lets all messages arrive and all restarts happen.
void run::settle() {
  bool is_settled = false;
  w_.after(60s, [&is_settled] { is_settled = true; });
  run_until("messages arrive", [&is_settled] { return is_settled; });
}

void run::stop() {
  g_.begin_stop();
  bool is_late = false;
  const auto grace = w_.chance(0.3) ? w_.between(0s, 5s) : 60s;
  w_.after(grace, [this, &is_late] {
    g_.end_stop();
    is_late = true;
  });
  run_until("everything stops", [&is_late] { return is_late; });
  run_until("everything stops", [this] { return g_.has_ended(); });
  settle();
  g_.check_all_released();
}

totals run::go() {
  g_.start();
  run_until("shards are attached", [this] { return g_.is_attached(); });
  arrive();
  plan_faults();
  run_until("events go on", [this] { return is_over(); });
  if (!g_.s.stops_in_use) {
    run_until("everything ends", [this] { return g_.has_ended(); });
    settle();
  }
  stop();
  g_.sum.steps = w_.steps();
  return g_.sum;
}

}  // namespace

totals run_world(std::uint64_t seed) {
  run r(seed);
  try {
    return r.go();
  } catch (const broken_rule& e) {
    throw broken_rule("seed " + std::to_string(seed) + ": " + e.what() + "\n" + r.report());
  }
}

}  // namespace signalbox::simulation
