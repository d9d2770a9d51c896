// Who holds which GPU memory, and who yields: one object for the machine, owned by the gpu_lease
// actor. A request names bytes on each of some GPUs, and gets all of them at once. Rules (their
// numbers stand in the code and in every decision):
//   1. Room is free: grant.
//   2. Not enough room: ask back the cheapest set of victims, by expected reload time × probability
//      of need, among those who may yield. Idle holders first. A holder with work in flight is
//      never asked before min_residency, and then only when (a) nothing of its own waits, or (b)
//      the asking holder's oldest ticket has waited longer than max_swap_wait.
//   5. A holder that failed to load holds nothing and blocks nobody.
// A holder counts as of the most urgent class that it has work for, and a request without any as of
// the class that it asked with.
// A model waits since its oldest ticket came, or its last turn ended, whichever is later. A holder
// that is still loading for waiting tickets is not asked; min_residency counts from its first
// request in flight.
// Pinned holders are never victims. Each counts a byte at least, so that nobody fits beside who
// has whole GPUs.
// Waiting in line: a request for which memory is being freed reserves as much on those GPUs; those
// behind it may take only what is left over, so that they never delay it. A request that cannot
// free enough yet is passed by what fits, until it has waited for max_swap_wait: from then on
// nothing behind it is granted on its GPUs. Hence it waits at most max_swap_wait + min_residency +
// the time that the holders take to drain and stop, after those before it in the order. Memory
// counts as taken until the holder releases it, which it does when its process tree is seen gone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "scheduling/eviction.hpp"
#include "scheduling/gpu_set.hpp"
#include "scheduling/holder_demand.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

struct arbiter_options {
  std::vector<std::uint64_t> gpu_memory;  // bytes, one entry for each GPU
  duration min_residency = std::chrono::seconds(5);
  duration max_swap_wait = std::chrono::seconds(30);
  fencing_token token_floor = 0;  // every token is above it
};

struct lease_request {
  holder_id holder = 0;
  gpu_need need;
  bool is_pinned = false;                  // never a victim
  work_class work = work_class::realtime;  // while its demand has no work of a class
};

struct lease_grant {
  holder_id holder;
  fencing_token token;
  gpu_set gpus;
  std::uint8_t rule;
};
struct lease_refusal {
  holder_id holder;
  refusal why;
};
struct ask_back {
  holder_id holder;
  fencing_token token;
  holder_id for_holder;
  std::uint8_t rule;
};
using arbiter_effect = std::variant<lease_grant, lease_refusal, ask_back>;
using arbiter_effects = std::vector<arbiter_effect>;

struct lease_view {
  holder_id holder;
  fencing_token token;
  gpu_set gpus;
  work_class work;
  time_point granted_at;
  bool asked_back;
};

class lease_arbiter {
 public:
  explicit lease_arbiter(arbiter_options options);

  // One request or lease for each holder: a second request while one is pending or held is ignored.
  // Pending requests are served by class, then by who waits longest with work of that class.
  arbiter_effects acquire(const lease_request& request, time_point now);
  arbiter_effects withdraw(holder_id holder, time_point now);
  // Ignored unless `token` is the holder's current one.
  arbiter_effects release(holder_id holder, fencing_token token, time_point now);
  // The holder is gone with all that it ran: its request and its lease end, and it is forgotten.
  arbiter_effects remove(holder_id holder, time_point now);
  arbiter_effects demand(holder_id holder, const holder_demand& demand, time_point now);
  arbiter_effects advance(time_point now);
  // When a pending request may become servable without another event.
  time_point next_deadline() const;

  std::vector<lease_view> leases() const;
  std::size_t pending() const;
  std::uint64_t used_memory(std::uint32_t gpu) const;  // bytes
  const arbiter_options& options() const { return options_; }

 private:
  struct lease {
    lease_request request;
    fencing_token token;
    gpu_set gpus;
    time_point granted_at;
    time_point served_since = never;  // first report since the grant of a request in flight
    bool asked_back = false;
    bool reported =
        false;  // its queue spoke since the grant; until then its silence proves nothing
  };
  struct pending_request {
    lease_request request;
    time_point since;
    bool evicted = false;  // somebody was asked back for it
  };
  struct room;

  std::size_t gpus_of(const gpu_need& need) const;
  std::optional<std::uint64_t> bytes_on(std::uint32_t gpu, const gpu_need& need) const;
  gpu_set fitting(const gpu_need& need, const std::vector<std::uint64_t>& there) const;
  bool fits(const gpu_need& need) const;
  const holder_demand& demand_of(holder_id holder) const;
  bool is_busy(const lease& l) const;
  bool may_be_asked(const lease& l, const pending_request& asking, time_point now) const;
  double reload_cost(const lease& l) const;
  work_class class_of(const lease_request& request) const;
  time_point waits_since(const pending_request& p, time_point oldest_ticket) const;
  time_point overdue_at(const pending_request& p) const;
  bool is_overdue(const pending_request& p, time_point now) const;
  std::vector<holder_id> serving_order() const;
  room room_now() const;
  void serve(holder_id holder, room& left, arbiter_effects& out, time_point now);
  bool grant_if_free(pending_request& p, room& left, arbiter_effects& out, time_point now);
  std::optional<eviction> eviction_for(const pending_request& p, const room& left,
                                       time_point now) const;
  std::optional<eviction> eviction_on(const gpu_set& gpus, const pending_request& p,
                                      const room& left, time_point now) const;
  std::vector<eviction_candidate> candidates_on(const gpu_set& gpus, const gpu_amounts& missing,
                                                const pending_request& p, time_point now) const;
  time_point protected_until(const lease& l) const;
  void hold_back(const pending_request& p, room& left) const;
  arbiter_effects decide(time_point now);
  void ask(const eviction& e, pending_request& p, room& left, arbiter_effects& out);
  time_point next_change(time_point now) const;

  arbiter_options options_;
  fencing_token last_token_;
  std::map<holder_id, lease> leases_;
  std::map<holder_id, pending_request> pending_;
  std::map<holder_id, holder_demand> demands_;
  std::map<holder_id, time_point> turn_ended_;  // the last lease's
  time_point deadline_ = never;
};

}  // namespace signalbox::scheduling
