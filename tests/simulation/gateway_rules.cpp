// What must be true after every step, and in the end.
#include "tests/simulation/gateway.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace signalbox::simulation {

void gateway::check() {
  for (std::size_t m = 0; m < models_.size(); ++m) {
    check_units(m);
    check_waiting(m);
    if (setup_.same_urgency) check_fair_share(m);
  }
  check_machine();
}

void gateway::check_units(std::size_t m) {
  const auto& model = models_[m];
  std::uint32_t out = 0, in_use = 0;
  std::map<std::uint64_t, std::uint32_t> in_flight;
  bool is_quiet = true;
  for (std::size_t s = 0; s < setup_.shards; ++s) {
    const auto& c = model.counters[s];
    out += c.credits + c.next.units_returned + c.units_to_queue + c.units_to_shard;
    in_use += static_cast<std::uint32_t>(c.in_use.size());
    for (const auto& [id, r] : c.in_use) ++in_flight[r.incarnation];
    is_quiet = is_quiet && is_empty(c.next) && !c.flush_due &&
               w_.in_transit(shard_of(s), queue_of(m)) == 0;
  }
  auto most = model.setup.limits.max_concurrent;
  w_.require(model.queue.held() == out + in_use, "units are conserved", model.queue.held(),
             out + in_use);
  w_.require(model.queue.held() <= most, "never more units than there are", m);
  for (const auto& [incarnation, count] : in_flight) {
    w_.require(count <= most, "never more in flight than max_concurrent", m, count);
  }
  w_.require(!is_quiet || !model.queue.is_open() || model.queue.waiting() == 0 || in_use == most,
             "nobody waits while units are idle", m, in_use);
}

void gateway::check_waiting(std::size_t m) {
  const auto& model = models_[m];
  w_.require(model.queue.waiting() == model.waiting.size(), "the queue forgets no ticket", m);
  auto first = never;
  for (const auto& [id, t] : model.waiting) {
    const auto last = std::max(t.deadline, t.since + recall_limit);
    first = std::min(first, last);
    w_.require(last > w_.now() || model.queue_timer <= w_.now(), "nothing waits past its deadline",
               m);
  }
  w_.require(model.waiting.empty() || w_.now() - model.hungry_since <= setup_.longest_wait,
             "no model starves", m);
  w_.require(model.queue.next_deadline() <= first, "a deadline is never announced late", m);
}

// Twice the bound of the core: reports are under way, credits of other shards are spent meanwhile,
// and service counts as it ends.
void gateway::check_fair_share(std::size_t m) {
  auto& model = models_[m];
  std::array<bool, principals> waits{};
  for (const auto& [id, t] : model.waiting) waits[t.principal] = true;
  const auto in_flight = model.setup.limits.max_concurrent * longest_request;
  const auto bound = 2 * 2 * core::token_weights{}.completion * in_flight;
  for (std::uint32_t f = 0; f < principals; ++f) {
    for (std::uint32_t g = f + 1; g < principals; ++g) {
      auto& gap = model.gaps[f * principals + g];
      const auto difference = model.served[f] - model.served[g];
      const bool was = std::exchange(gap.both_wait, waits[f] && waits[g]);
      if (!was) gap.least = gap.most = difference;
      if (!gap.both_wait) continue;
      gap.least = std::min(gap.least, difference);
      gap.most = std::max(gap.most, difference);
      w_.require(gap.most - gap.least <= bound, "service of two who wait differs by a bound", f, g);
    }
  }
}

// What was granted is what was asked for.
void gateway::check_granted(const core::gpu_need& need, const core::gpu_set& gpus) {
  const auto& sizes = setup_.machine.gpu_memory;
  const auto count = need.count == core::all_gpus ? sizes.size() : need.count;
  w_.require(gpus.size() == count, "as many GPUs as asked for", static_cast<long>(gpus.size()));
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    w_.require(i == 0 || gpus[i - 1].gpu < gpus[i].gpu, "each GPU once", gpus[i].gpu);
    const auto bytes = need.memory == core::whole_gpu ? sizes.at(gpus[i].gpu) : need.memory;
    w_.require(gpus[i].memory == bytes, "as many bytes as asked for", gpus[i].gpu);
  }
}

void gateway::check_machine() {
  std::vector<std::uint64_t> used(setup_.machine.gpu_memory.size());
  std::size_t holders = 0, alone = 0;
  for (const auto& model : models_) {
    if (!model.live || !model.setup.life.needs_lease) continue;
    check_granted(model.setup.lease.need, model.live->gpus);
    for (const auto& share : model.live->gpus) used[share.gpu] += share.memory;
    ++holders;
    alone += model.setup.lease.need == core::whole_machine;
  }
  for (std::size_t gpu = 0; gpu < used.size(); ++gpu) {
    w_.require(used[gpu] <= setup_.machine.gpu_memory[gpu], "memory is not oversubscribed", gpu);
    w_.require(
        arbiter_.used_memory(static_cast<std::uint32_t>(gpu)) <= setup_.machine.gpu_memory[gpu],
        "leases are not oversubscribed", gpu);
  }
  w_.require(alone == 0 || holders == 1, "an exclusive model is alone", holders);
}

void gateway::check_all_released() {
  w_.require(submitted_ == ended_, "every ticket ended", submitted_, ended_);
  const auto counted = charged_ + corrected_;
  w_.require(std::abs(counted - cost_) <= 1e-9 * cost_, "every charge is settled once",
             static_cast<long>(counted), static_cast<long>(cost_));
  w_.require(arbiter_.leases().empty() && arbiter_.pending() == 0, "no lease is left");
  for (const auto& m : models_) {
    w_.require(m.life.state() == core::lifecycle_state::stopped, "stopped in the end",
               static_cast<long>(m.life.state()));
    w_.require(!m.live && m.queue.held() == 0 && m.queue.waiting() == 0, "nothing is left");
  }
}

}  // namespace signalbox::simulation
