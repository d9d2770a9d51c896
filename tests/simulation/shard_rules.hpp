// Checks each batch that a shard's gate sends: it must say of units, requests and charges exactly
// what happened since the last one. The shard tells what happens to its permits.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "http/proxy/admission_gate.hpp"
#include "tests/simulation/world.hpp"

namespace signalbox::simulation {

class shard_rules {
 public:
  shard_rules(world& w, std::size_t models) : w_(w), models_(models) {}

  // The gate introduces itself to a new queue: it has these units, all inside permits.
  void introduced(model_index m, std::span<const scheduling::backend_units> in_use);
  // The life of the queue that the gate has to do with; counts introductions.
  std::uint32_t life(model_index m) const { return models_[m].life; }
  void came(model_index m, backend_id backend, std::uint32_t units);  // from the queue
  void waits(model_index m) { ++models_[m].waiting; }                 // one more request
  void waits_no_more(model_index m) { --models_[m].waiting; }
  void charged(model_index m, double cost) { models_[m].balance += cost; }  // by the queue
  void begun(model_index m, backend_id backend, work_class work, bool by_credit);
  // `cost` in weighted tokens; `charged_by`: the life in which it began.
  void ended(model_index m, backend_id backend, work_class work, http::outcome how, double cost,
             std::uint32_t charged_by);
  void preempted(model_index m, backend_id backend, work_class work, std::uint32_t charged_by);
  void sent(model_index m, const shard_batch& batch);

  std::uint32_t permits(model_index m, backend_id backend) const;

 private:
  struct account {
    backend_id backend = 0;
    std::uint32_t units = 0;  // here: credits, inside permits, or not sent back yet
    class_counts permits{};
    std::uint32_t ended = 0;  // since the last batch
  };
  struct side {
    std::vector<account> accounts{};
    std::uint32_t waiting = 0;  // requests of the shard
    std::uint32_t life = 0;
    std::uint32_t charged_permits = 0;  // that have not ended, of this life
    // Since the last batch:
    std::array<std::uint32_t, 4> settled{};  // by outcome
    std::uint32_t begun = 0, charges_ended = 0;
    double balance = 0;  // charged and corrected, less what ended requests did cost

    account& of(backend_id backend);
  };

  void release(side& s, backend_id backend, work_class work, std::uint32_t charged_by);
  void check_units(side& s, const shard_batch& batch);
  void check_counts(side& s, const shard_batch& batch);
  void check_charges(side& s, const shard_batch& batch);

  world& w_;
  std::vector<side> models_;
};

}  // namespace signalbox::simulation
