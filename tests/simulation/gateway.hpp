// The three cores wired to one another as the actors do it, with simulated clients, shards and
// runtimes around them. check() holds the rules that must be true after every step.
//
//   client → shard ⇄ queue (admission) ⇄ backend (model_lifecycle) ⇄ runtime
//                          └── demand → arbiter (lease_arbiter) ⇄ ──┘
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "actors/messages.hpp"
#include "scheduling/admission.hpp"
#include "scheduling/lease_arbiter.hpp"
#include "scheduling/model_lifecycle.hpp"
#include "tests/scheduling/single_backend.hpp"
#include "tests/simulation/world.hpp"

namespace signalbox::simulation {

namespace core = signalbox::scheduling;

// Lambdas as one visitor.
template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;

struct model_setup {
  core::single_backend_limits limits;
  core::lifecycle_options life;
  core::lease_request lease;
  double load_fails = 0, load_hangs = 0, crashes = 0;  // probabilities, each for one run
  duration load_time{};
};

struct setup {
  core::arbiter_options machine;
  std::vector<model_setup> models;
  std::uint32_t shards = 1;
  bool same_urgency = false;  // all tickets are of one class and priority
  duration longest_wait{};    // of a model with tickets, until one of them ends
};

class gateway {
 public:
  gateway(world& w, setup s);
  gateway(const gateway&) = delete;

  void start();
  void client_arrives(std::size_t model);
  void crash_something();
  void check();
  bool everything_ended() const;
  std::string describe() const;  // for a failure message
  void stop_all();
  void check_all_released();

  std::size_t models() const { return models_.size(); }
  std::size_t granted() const { return granted_; }
  std::size_t refused() const { return refused_; }
  std::size_t loads() const { return loads_; }

 private:
  struct request {
    std::size_t model;
    time_point since;
    std::uint64_t incarnation;
    core::service_charge charge;
    double cost;  // weighted tokens, if it ends well
  };
  // What a shard says of its one backend.
  struct batch_of_one : shard_batch {
    std::uint32_t units_returned = 0;
    std::uint32_t in_use = 0;
  };
  static bool is_empty(const batch_of_one& b) {
    return b.units_returned == 0 && b.settled.total() == 0 && b.cancelled.empty() &&
           b.tickets.empty();
  }
  // One shard's side of one queue.
  struct counter {
    std::uint32_t credits = 0;
    bool stocked = false;
    batch_of_one next;
    bool flush_due = false;
    std::uint32_t units_to_queue = 0, units_to_shard = 0;  // inside messages
    std::set<ticket_id> waiting;
    std::map<std::uint64_t, request> in_use;
  };
  struct run {
    std::uint64_t incarnation;
    core::gpu_set gpus;
    bool is_ready = false, has_exited = false, is_stopping = false;
  };
  // Idle credits are waited for a little longer than the client wants to.
  static constexpr duration recall_limit = std::chrono::milliseconds(51);
  struct waiting_ticket {
    time_point since, deadline;
    std::uint32_t principal;
  };
  static constexpr std::uint32_t principals = 4;
  static constexpr double longest_request = 1000;  // tokens, half of them its prompt
  static double weight_of(std::uint32_t principal) { return principal % 2 == 0 ? 2 : 1; }
  // How service of two principals differed since both wait.
  struct service_gap {
    bool both_wait = false;
    double least = 0, most = 0;
  };
  struct served_model {
    model_setup setup;
    core::single_backend queue;
    core::model_lifecycle life;
    std::vector<counter> counters;
    std::map<ticket_id, waiting_ticket> waiting{};
    time_point hungry_since{};            // the last ticket that ended, or the first to wait
    std::uint64_t queue_incarnation = 0;  // the endpoint that the queue hands out
    time_point refusing_until{};
    refusal refusing_why{};
    bool is_closing = false;  // and nobody was told yet that it is drained
    bool told_waiting = false;
    std::uint32_t told_demand_waiting = 0, told_demand_in_use = 0;
    time_point queue_timer = never, life_timer = never;
    std::optional<run> live{};
    std::array<double, principals> served{};  // as it ended, over the weight
    std::array<service_gap, principals * principals> gaps{};
  };

  actor_id queue_of(std::size_t m) const { return static_cast<int>(m); }
  actor_id backend_of(std::size_t m) const { return 100 + static_cast<int>(m); }
  actor_id runtime_of(std::size_t m) const { return 200 + static_cast<int>(m); }
  actor_id shard_of(std::size_t s) const { return 300 + static_cast<int>(s); }
  static constexpr actor_id arbiter = 400;

  // gateway_shard.cpp
  void flush_later(std::size_t s, std::size_t m);
  void flush(std::size_t s, std::size_t m);
  void begin_request(std::size_t s, std::size_t m, std::uint64_t incarnation,
                     const core::service_charge& charge);
  void settle_charge(counter& c, const core::service_charge& charge, double cost);
  void end_request(std::size_t s, std::size_t m, std::uint64_t id);
  void permit_arrives(std::size_t s, std::size_t m, const core::grant_permit& g,
                      std::uint64_t incarnation);
  // gateway_queue.cpp
  void batch_arrives(std::size_t m, const batch_of_one& b);
  void take(std::size_t m, const batch_of_one& b);
  void carry_out(std::size_t m, const core::admission_effects& effects);
  void after_queue_event(std::size_t m);
  void close_queue(std::size_t m, bool only_if_idle);
  void refuse_waiting(std::size_t m, const core::refuse_waiting& r);
  void end_ticket(std::size_t m, ticket_id id, bool is_served);
  void report_demand(std::size_t m);
  // gateway_backend.cpp
  void carry_out(std::size_t m, const core::lifecycle_effects& effects);
  void to_backend(actor_id from, std::size_t m,
                  std::function<core::lifecycle_effects(core::model_lifecycle&)> event);
  void arm_backend(std::size_t m);
  void carry_out(const core::arbiter_effects& effects);
  void arm_arbiter();
  // gateway_runtime.cpp
  void start_runtime(std::size_t m, const core::start_runtime& s);
  void stop_runtime(std::size_t m, duration grace, std::uint64_t incarnation);
  void runtime_exits(std::size_t m, std::uint64_t incarnation, core::exit_reason why);
  // gateway_rules.cpp
  void check_units(std::size_t m);
  void check_waiting(std::size_t m);
  void check_fair_share(std::size_t m);
  void check_machine();
  void check_granted(const core::gpu_need& need, const core::gpu_set& gpus);

  world& w_;
  setup setup_;
  core::lease_arbiter arbiter_;
  time_point arbiter_timer_ = never;
  std::vector<served_model> models_;
  fencing_token last_token_ = 0;
  std::uint64_t next_id_ = 1;
  std::uint64_t submitted_ = 0, ended_ = 0;
  std::size_t granted_ = 0, refused_ = 0, loads_ = 0;
  double charged_ = 0, corrected_ = 0, cost_ = 0;  // weighted tokens, over all
};

}  // namespace signalbox::simulation
