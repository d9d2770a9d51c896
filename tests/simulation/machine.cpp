#include "tests/simulation/machine.hpp"

#include <algorithm>
#include <utility>

#include "tests/simulation/backend_shell.hpp"
#include "tests/simulation/gateway.hpp"

namespace signalbox::simulation {

using namespace std::chrono_literals;

machine::machine(gateway& g) : g_(g), used_(g.s.machine.gpu_memory.size()) {}

machine::run* machine::find(backend_id id, std::uint64_t incarnation) {
  const auto found = runs_.find(id);
  const bool is_it = found != runs_.end() && found->second.incarnation == incarnation;
  return is_it ? &found->second : nullptr;
}

void machine::start(const backend_ref& backend, backend_id id, model_index m,
                    const core::start_runtime& s) {
  g_.w.require(!runs_.contains(id), "at most one run of a backend", id, s.incarnation);
  g_.w.note("start: backend, run", id, s.incarnation);
  const auto& model = g_.s.models[m];
  if (model.life.needs_lease) {
    check_granted(s.gpus, model.need);
    occupy(s.gpus, model.need);
  }
  auto& r = runs_[id];
  r = {.backend = backend,
       .model = m,
       .incarnation = s.incarnation,
       .gpus = s.gpus,
       .driver = g_.w.begin_actor(),
       .when_gone = {}};
  tell(r, runtime_spawned{s.incarnation, 1});
  tell_stale(r);
  load(id, r);
}

void machine::load(backend_id id, const run& r) {
  auto& w = g_.w;
  const auto& model = g_.s.models[r.model];
  if (w.chance(model.load_hangs)) return;
  const bool fails = w.chance(model.load_fails);
  if (model.life.external && w.chance(0.3)) tell(r, runtime_checked{r.incarnation, false, {}});
  w.after(w.between(model.load_time / 2, model.load_time * 2),
          [this, id, fails, i = r.incarnation] {
            if (fails) return exits(id, i, core::exit_reason::start_failed);
            loaded(id, i);
          });
}

void machine::loaded(backend_id id, std::uint64_t incarnation) {
  auto* r = find(id, incarnation);
  if (r == nullptr || r->has_exited || r->is_stopping) return;
  r->is_ready = true;
  g_.w.note("ready: backend, run", id, incarnation);
  tell(*r, runtime_ready{incarnation, "localhost", "127.0.0.1", 1});
  if (g_.w.chance(g_.s.models[r->model].hangs)) {
    g_.w.after(g_.w.between(0s, 20s), [this, id, incarnation] {
      if (auto* hanging = find(id, incarnation)) hanging->is_hung = true;
    });
  }
  if (!g_.w.chance(g_.s.models[r->model].crashes)) return;
  g_.w.after(g_.w.between(0s, 20s),
             [this, id, incarnation] { exits(id, incarnation, core::exit_reason::crashed); });
}

bool machine::is_hung(backend_id id, std::uint64_t incarnation) {
  const auto* r = find(id, incarnation);
  return r != nullptr && r->is_hung;
}

void machine::check(backend_id id) {
  const auto found = runs_.find(id);
  if (found == runs_.end()) return;
  auto& w = g_.w;
  const auto takes = found->second.is_hung ? 2s : w.between(0s, 1s);
  w.after(takes, [this, id, incarnation = found->second.incarnation] {
    const auto* r = find(id, incarnation);
    if (r != nullptr && !r->has_exited) tell(*r, runtime_checked{incarnation, !r->is_hung, {}});
  });
}

void machine::stop(backend_id id, duration grace) {
  const auto found = runs_.find(id);
  if (found == runs_.end() || found->second.has_exited) return;
  auto& w = g_.w;
  found->second.is_stopping = true;
  const auto takes = w.chance(0.1) ? grace : w.between(0ms, std::max<duration>(1ms, grace / 4));
  w.after(std::min(takes, grace), [this, id, incarnation = found->second.incarnation] {
    exits(id, incarnation, core::exit_reason::asked);
  });
}

void machine::kill(backend_id id, callback then) {
  const auto found = runs_.find(id);
  if (found == runs_.end()) return then();
  found->second.when_gone = std::move(then);
  exits(id, found->second.incarnation, core::exit_reason::asked);
}

void machine::crash_one() {
  if (runs_.empty()) return;
  const auto one = std::next(runs_.begin(), static_cast<std::ptrdiff_t>(g_.w.below(runs_.size())));
  exits(one->first, one->second.incarnation, core::exit_reason::segfault);
}

void machine::exits(backend_id id, std::uint64_t incarnation, core::exit_reason why) {
  auto* r = find(id, incarnation);
  if (r == nullptr || std::exchange(r->has_exited, true)) return;
  g_.w.note("exit: backend, run", id, incarnation);
  tell(*r, runtime_exited{incarnation, why, {}, {}});
  for (const auto& s : g_.shards) s->runtime_gone(id, incarnation);
  g_.w.after(g_.w.between(1ms, 200ms), [this, id] { gone(id); });
}

void machine::gone(backend_id id) {
  const auto r = std::move(runs_.at(id));
  runs_.erase(id);
  g_.w.note("gone: backend, run", id, r.incarnation);
  const auto& model = g_.s.models[r.model];
  if (model.life.needs_lease) vacate(r.gpus, model.need);
  tell(r, runtime_released{r.incarnation});
  if (r.when_gone) r.when_gone();
}

void machine::tell(const run& r, runtime_event event) {
  send(g_.w, r.driver, r.backend, std::move(event));
}

// Sends events of an earlier run, which must have no effect.
void machine::tell_stale(const run& r) {
  if (r.incarnation < 2 || !g_.w.chance(0.2)) return;
  const auto old = r.incarnation - 1;
  g_.w.after(g_.w.between(0s, 2s), [this, backend = r.backend, driver = r.driver, old] {
    send(g_.w, driver, backend, runtime_event{runtime_ready{old, "localhost", "127.0.0.1", 1}});
    send(g_.w, driver, backend, runtime_event{runtime_exited{old, core::exit_reason::oom, {}, {}}});
    send(g_.w, driver, backend, runtime_event{runtime_released{old}});
  });
}

bool machine::begin_request(backend_id id, std::uint64_t incarnation) {
  auto* r = find(id, incarnation);
  if (r == nullptr || r->has_exited) return false;
  ++r->in_flight;
  g_.w.require(r->in_flight <= g_.s.models[r->model].units,
               "never more in flight at a runtime than its units", id, r->in_flight);
  return true;
}

void machine::end_request(backend_id id, std::uint64_t incarnation) {
  if (auto* r = find(id, incarnation)) --r->in_flight;
}

std::uint32_t machine::in_flight(backend_id id) const {
  const auto found = runs_.find(id);
  return found == runs_.end() ? 0 : found->second.in_flight;
}

void machine::occupy(const core::gpu_set& gpus, const core::gpu_need& need) {
  ++occupants_;
  exclusive_ += need == core::whole_machine;
  g_.w.require(exclusive_ == 0 || occupants_ == 1, "who has the whole machine is alone",
               occupants_);
  for (const auto& share : gpus) {
    used_[share.gpu] += share.memory;
    g_.w.require(used_[share.gpu] <= g_.s.machine.gpu_memory[share.gpu],
                 "memory is not oversubscribed", share.gpu);
  }
}

void machine::vacate(const core::gpu_set& gpus, const core::gpu_need& need) {
  --occupants_;
  exclusive_ -= need == core::whole_machine;
  for (const auto& share : gpus) used_[share.gpu] -= share.memory;
}

void machine::check_granted(const core::gpu_set& gpus, const core::gpu_need& need) const {
  const auto& sizes = g_.s.machine.gpu_memory;
  const auto count = need.count == core::all_gpus ? sizes.size() : need.count;
  g_.w.require(gpus.size() == count, "as many GPUs as asked for", gpus.size());
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    g_.w.require(i == 0 || gpus[i - 1].gpu < gpus[i].gpu, "each GPU once", gpus[i].gpu);
    const auto bytes = need.memory == core::whole_gpu ? sizes.at(gpus[i].gpu) : need.memory;
    g_.w.require(gpus[i].memory == bytes, "as many bytes as asked for", gpus[i].gpu);
  }
}

}  // namespace signalbox::simulation
