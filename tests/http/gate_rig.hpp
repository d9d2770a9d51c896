// Admission gates and the real queue core behind them, for tests.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "http/proxy/admission_gate.hpp"
#include "scheduling/model_queue.hpp"

namespace signalbox::http::test {

struct holder final : ticket_holder {
  void ticket_granted(permit p) override { ++ends, held = std::move(p); }
  void ticket_refused(const signalbox::ticket_refused&) override { ++ends; }
  void ticket_placed(std::uint32_t, double) override {}

  permit held;
  ticket_id id = 0;
  int ends = 0;
};

// One queue core and several gates, with the messages between them in flight until delivered.
class rig {
 public:
  rig(std::uint32_t shards, std::uint32_t units, std::uint32_t max_waiting, int backends = 1)
      : core({.limits = {.max_waiting = max_waiting}, .shards = shards}) {
    for (shard_id s = 0; s < shards; ++s) {
      gates.push_back(std::make_unique<admission_gate>(
          s, scheduling::token_weights{},
          [this](model_index, shard_batch b) { to_queue.push_back(std::move(b)); }, [] {},
          [this] { return now; },
          [this](model_index, work_class work) { preempted.push_back(work); }));
      to_shard.emplace_back();
      carry_out(core.attach_shard(s, {}, now));
    }
    for (int i = 1; i <= backends; ++i) {
      const auto backend = static_cast<backend_id>(i);
      auto endpoint = std::make_shared<backend_endpoint>();
      endpoint->backend = backend;
      endpoint->incarnation = 1;
      endpoints[backend] = endpoint;
      carry_out(core.add_backend(backend, now));
      carry_out(core.open(backend, units, 1, now));
    }
  }

  void flush() {
    for (auto& gate : gates) gate->flush_reports();
  }

  void deliver_to_queue() {
    for (auto& batch : std::exchange(to_queue, {})) {
      carry_out(core.take(batch, now));
    }
  }

  void deliver_to(shard_id s) {
    for (const auto& event : std::exchange(to_shard[s], {})) gates[s]->handle(event);
  }

  void settle_everything() {
    for (int i = 0; i < 20; ++i) {
      flush();
      deliver_to_queue();
      for (shard_id s = 0; s < gates.size(); ++s) deliver_to(s);
    }
  }

  void carry_out(const scheduling::queue_effects& effects) {
    for (const auto& effect : effects) {
      std::visit([this](const auto& e) { apply(e); }, effect);
    }
  }
  void apply(const scheduling::grant_permit& e) {
    to_shard[e.shard].push_back(permit_granted{0, e.id, endpoints[e.backend], e.charge, e.place});
  }
  void apply(const scheduling::refuse_ticket& e) {
    to_shard[e.shard].push_back(signalbox::ticket_refused{0, e.id, e.why, 1, ""});
  }
  void apply(const scheduling::give_credits& e) {
    to_shard[e.shard].push_back(credits_given{0, e.count, endpoints[e.backend]});
  }
  void apply(const scheduling::recall_credits& e) {
    to_shard[e.shard].push_back(credits_recalled{0, e.backend});
  }

  void apply(const scheduling::preempt_permits& e) {
    to_shard[e.shard].push_back(class_preempted{0, e.work});
  }
  template <class Other>
  void apply(const Other&) {}  // for backends and the lease pool

  time_point now{std::chrono::seconds(1)};
  std::map<backend_id, endpoint_ptr> endpoints;
  scheduling::model_queue core;
  std::vector<work_class> preempted;
  std::vector<std::unique_ptr<admission_gate>> gates;
  std::vector<shard_batch> to_queue;
  std::vector<std::vector<shard_event>> to_shard;
};

}  // namespace signalbox::http::test
