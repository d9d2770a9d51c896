// Around the production scheduling::model_queue, in the place of actors/model_queue_actor.cpp. The
// lines that correspond there: make_behavior() (here the on() functions), carry_out() and apply()
// (here the same), served_by and outbox_. Left out: get_queue_stats, the status board, metrics.
#pragma once

#include <map>
#include <vector>

#include "scheduling/model_queue.hpp"
#include "tests/simulation/messages.hpp"
#include "tests/simulation/queue_rules.hpp"

namespace signalbox::simulation {

class gateway;

class queue_shell {
 public:
  // `shards` that must attach before it knows all that is in flight: none at the first start.
  // `life`: how often it was restarted.
  queue_shell(gateway& g, model_index model, std::size_t shards, std::uint32_t life);

  queue_ref ref() { return {actor_, this}; }
  void on(const backend_added& m);
  void on(const signalbox::open_queue& m);
  void on(const signalbox::close_queue& m);
  void on(const signalbox::refuse_waiting& m);
  void on(const load_estimated& m);
  void on(const holder_known& m);
  void on(const preempt_class& m);
  void on(const units_changed& m);
  void on(const backend_removed& m);
  void on(const pool_ref& m);
  void on(const shard_attached& m);
  void on(const shard_batch& m);
  void on(const stop_all& m);

  const core::model_queue& queue() const { return core_; }
  const queue_rules& rules() const { return rules_; }
  // A request that was charged to this queue has ended.
  void served(std::uint32_t principal, double cost, double weight) {
    rules_.served(principal, cost, weight);
  }

 private:
  struct served_by {
    backend_ref actor;
    endpoint_ptr endpoint;  // of the run that is, or was last, open
  };

  time_point now() const;
  void carry_out(const core::queue_effects& effects);
  void apply(const core::grant_permit& e);
  void apply(const core::refuse_ticket& e);
  void apply(const core::give_credits& e);
  void apply(const core::recall_credits& e);
  void apply(const core::preempt_permits& e);
  void apply(const core::tell_place& e);
  void apply(const core::ensure_backend& e);
  void apply(const core::tell_drained& e);
  void apply(const core::tell_not_idle& e);
  void apply(const core::tell_activity& e);
  void apply(const core::tell_signs& e);
  void apply(const core::tell_keep_loaded& e);
  void apply(const core::tell_demand& e);
  void tick();

  gateway& g_;
  const actor_id actor_;
  const model_index model_;
  const std::uint32_t life_;
  core::model_queue core_;
  queue_rules rules_;
  pool_ref leases_;
  std::map<backend_id, served_by> backends_;
  std::map<shard_id, shard_ref> shards_;
  std::map<shard_id, std::vector<shard_event>> outbox_;
  tick_timer timer_;
};

}  // namespace signalbox::simulation
