// Runtimes: they load, fail, hang, crash and take their time to stop.
#include "tests/simulation/gateway.hpp"

#include <algorithm>

namespace signalbox::simulation {

using namespace std::chrono_literals;

void gateway::start_runtime(std::size_t m, const core::start_runtime& s) {
  auto& model = models_[m];
  w_.require(!model.live, "at most one live run for each backend", m);
  w_.note("start: model, incarnation", m, s.incarnation);
  model.live = run{.incarnation = s.incarnation, .gpus = s.gpus};
  if (w_.chance(model.setup.load_hangs)) return;
  auto when = w_.now() + w_.between(model.setup.load_time / 2, model.setup.load_time * 2);
  bool fails = w_.chance(model.setup.load_fails);
  w_.at(when, [this, m, fails, i = s.incarnation] {
    auto& live = models_[m].live;
    if (!live || live->incarnation != i || live->has_exited || live->is_stopping) return;
    if (fails) return runtime_exits(m, i, core::exit_reason::start_failed);
    live->is_ready = true;
    w_.note("ready: model, incarnation", m, i);
    to_backend(runtime_of(m), m, [this, i](auto& life) { return life.runtime_ready(i, w_.now()); });
    if (!w_.chance(models_[m].setup.crashes)) return;
    w_.at(w_.now() + w_.between(0s, 20s),
          [this, m, i] { runtime_exits(m, i, core::exit_reason::crashed); });
  });
}

void gateway::stop_runtime(std::size_t m, duration grace, std::uint64_t incarnation) {
  auto& live = models_[m].live;
  if (!live || live->incarnation != incarnation || live->has_exited) return;
  live->is_stopping = true;
  auto takes = w_.chance(0.1) ? grace : w_.between(0ms, std::max<duration>(1ms, grace / 4));
  w_.at(w_.now() + std::min(takes, grace), [this, m, incarnation] {
    runtime_exits(m, incarnation, core::exit_reason::crashed);  // the core knows that it was asked
  });
}

void gateway::runtime_exits(std::size_t m, std::uint64_t incarnation, core::exit_reason why) {
  auto& live = models_[m].live;
  if (!live || live->incarnation != incarnation || live->has_exited) return;
  live->has_exited = true;
  w_.note("gone: model, incarnation", m, incarnation);
  to_backend(runtime_of(m), m, [this, incarnation, why](auto& life) {
    return life.runtime_exited(incarnation, why, w_.now());
  });
  for (std::size_t s = 0; s < setup_.shards; ++s) {
    for (const auto& [id, r] : models_[m].counters[s].in_use) {
      if (r.incarnation != incarnation) continue;
      w_.at(w_.now() + w_.between(0ms, 5ms), [this, s, m, id = id] { end_request(s, m, id); });
    }
  }
  w_.at(w_.now() + w_.between(1ms, 200ms), [this, m, incarnation] {
    models_[m].live.reset();
    to_backend(runtime_of(m), m, [this, incarnation](auto& life) {
      return life.runtime_released(incarnation, w_.now());
    });
  });
}

void gateway::crash_something() {
  auto m = w_.below(models_.size());
  if (models_[m].live) {
    runtime_exits(m, models_[m].live->incarnation, core::exit_reason::segfault);
  }
}

}  // namespace signalbox::simulation
