// Checks the rules of one life of a model's queue. The shell tells what comes in and what the core
// decides; check() compares the core's account with what follows from that.
#pragma once

#include <array>
#include <map>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "scheduling/model_queue.hpp"
#include "tests/simulation/actor.hpp"
#include "tests/simulation/setup.hpp"

namespace signalbox::simulation {

class queue_rules {
 public:
  queue_rules(world& w, const setup& s, const model_setup& m, const core::model_queue& queue);

  // Before the core hears it.
  void attached(shard_id shard, std::span<const core::backend_units> in_use);
  void heard(const core::shard_batch& batch);
  void added(backend_id backend) { refused_until_[backend] = {}; }
  void removed(backend_id backend) { refused_until_.erase(backend); }
  void has_units(backend_id backend, std::uint32_t units) { units_[backend] = units; }
  // The backend refuses requests until then; `time_point{}`: it does not refuse any more.
  void refuses(backend_id backend, time_point until) { refused_until_[backend] = until; }
  void stopped() { is_stopped_ = true; }
  // Takes the core's effects. Returns true when a ticket has ended for good.
  bool decided(const core::queue_effects& effects);
  // After each event of the core.
  void check() const;
  void served(std::uint32_t principal, double cost, double weight);

  std::size_t waiting() const { return waiting_.size(); }
  bool is_attached(shard_id shard) const { return attached_[shard]; }
  struct account {
    backend_id backend = 0;
    std::array<std::uint32_t, most_shards> out{};  // units, by shard
    std::array<bool, most_shards> stocked{};

    std::uint32_t held() const;
    bool is_stocked() const;
  };
  const std::vector<account>& accounts() const { return accounts_; }
  std::uint32_t units(backend_id backend) const {
    const auto found = units_.find(backend);
    return found == units_.end() ? 0 : found->second;
  }

 private:
  struct waiting_ticket {
    time_point since, deadline;
    std::uint32_t principal;
    work_class work;
  };
  // How service of two principals differed since both wait.
  struct service_gap {
    bool both_wait = false;
    double least = 0, most = 0;
  };
  static constexpr std::uint32_t principals = 4;

  account& of(backend_id backend);
  void decide(const core::grant_permit& e);
  void decide(const core::refuse_ticket& e);
  void decide(const core::give_credits& e);
  void decide(const core::recall_credits& e);
  void decide(const core::preempt_permits&) {}
  template <class Other>
  void decide(const Other&) {}
  void give(shard_id shard, backend_id backend, std::uint32_t units);
  waiting_ticket end(ticket_id id);
  void begin(const core::ticket& t);
  void count_waiting(const waiting_ticket& t, int more);
  void measure_gaps(std::uint32_t principal);

  world& w_;
  const setup& s_;
  const model_setup& m_;
  const core::model_queue& core_;
  std::vector<account> accounts_;
  std::array<bool, most_shards> attached_{};
  std::map<backend_id, time_point> refused_until_;
  std::map<backend_id, std::uint32_t> units_;  // as told last
  bool is_stopped_ = false;
  std::unordered_map<ticket_id, waiting_ticket> waiting_;
  std::array<std::uint32_t, work_class_count> waiting_of_class_{};
  std::array<std::uint32_t, principals> waiting_of_{};
  std::array<double, principals> served_{};
  std::array<service_gap, principals * principals> gaps_{};
  const core::shard_batch* incoming_ = nullptr;             // while it is handled
  std::vector<ticket_id> ended_at_once_;                    // of these
  std::vector<std::pair<ticket_id, waiting_ticket>> left_;  // whose clients left in this batch
  bool has_ended_one_ = false;
};

}  // namespace signalbox::simulation
