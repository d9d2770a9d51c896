// Decides who holds which GPU memory and who has to give it back. The machine has one such object,
// which the gpu_lease actor owns. A request names an amount of bytes and a number of GPUs, and gets
// the amount on each of them at once. Rules, whose names stand in the code, in decisions and in the
// log:
//   room: when enough memory is free, the request is granted.
//   evict: otherwise the arbiter asks back the cheapest set of victims, by expected reload time ×
//     probability of need, among the holders that may be asked back. Idle holders go first. A
//     holder with requests in flight is never asked before min_residency, and then only when (a)
//     none of its own tickets waits, or (b) the asking holder's oldest ticket has waited longer
//     than max_swap_wait.
// Nothing is asked back for a request that nobody waits for, as when its tickets were cancelled or
// refused: it is granted when there is room that no other request waits for.
// A backend that failed to load holds no lease while it backs off (rule backoff, model_lifecycle).
//
// Class: a holder has the most urgent class that it has work of. Without work, its request has the
// class that it asked with.
//
// Waiting and residency: a model waits since its oldest ticket came or since its last turn ended,
// whichever is later. A holder that is still loading for waiting tickets is not asked. Its
// min_residency begins with its first request in flight.
//
//   An operator's order to switch asks any holder back, also a busy or a pinned one, and these stay
//   away until somebody asks for them.
//
// Pinned holders are never victims of anything else, nor are holders of the asking one's group.
// Every holder has at least one byte, so that none fits beside a holder of whole GPUs.
//
// Order: a request for which memory is being freed reserves that memory. Requests behind it may
// take only what is left over, and so never delay it. A request that cannot free enough yet is
// overtaken by those that fit, until it has waited for max_swap_wait; from then on nothing behind
// it is granted on its GPUs. Hence, after those before it in the order, it waits at most
// max_swap_wait + min_residency + the time that the holders take to drain and stop. Memory counts
// as taken until the holder releases it, which it does when its process tree is seen gone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "scheduling/eviction.hpp"
#include "scheduling/gpu_set.hpp"
#include "scheduling/holder_demand.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// The rule by which the arbiter decided; see the top of this file.
enum class swap_rule : std::uint8_t { room, evict };
std::string_view to_string(swap_rule value);

// The machine's GPUs and the times that the rules name.
struct arbiter_options {
  std::vector<std::uint64_t> gpu_memory;  // bytes, one entry for each GPU
  duration min_residency = std::chrono::seconds(5);
  duration max_swap_wait = std::chrono::seconds(30);
  fencing_token token_floor = 0;  // every token that is given out is above it
};

// A holder's request for a lease.
struct lease_request {
  holder_id holder = 0;
  gpu_need need;
  bool is_pinned = false;                  // never a victim
  work_class work = work_class::realtime;  // its class while it reports no work
  // Holders of one group do the same work and never evict each other; 0: of no group.
  std::uint32_t group = 0;
  bool is_ordered = false;  // an operator waits for it, as a ticket does
  bool is_switch = false;   // an order to which every other holder gives way: see rule evict
};

// Effects.

// The holder has this memory from now on.
struct lease_grant {
  holder_id holder;
  fencing_token token;
  gpu_set gpus;
  swap_rule rule;
};
// The holder's request can never be granted.
struct lease_refusal {
  holder_id holder;
  refusal why;
};
// The holder has to drain, stop and release its lease, for `for_holder`.
struct ask_back {
  holder_id holder;
  fencing_token token;
  holder_id for_holder;
  swap_rule rule;
  bool is_switch = false;  // as in the request of `for_holder`
};
using arbiter_effect = std::variant<lease_grant, lease_refusal, ask_back>;
using arbiter_effects = std::vector<arbiter_effect>;

// A lease as status pages show it.
struct lease_view {
  holder_id holder;
  fencing_token token;
  gpu_set gpus;
  work_class work;
  time_point granted_at;
  bool asked_back;
};

// All leases of the machine and the requests that wait for one.
class lease_arbiter {
 public:
  explicit lease_arbiter(arbiter_options options);

  // Asks for a lease. It is ignored when the holder already has a lease or a pending request.
  // Pending requests are served by class, and inside a class the one that waits longest goes first.
  arbiter_effects acquire(const lease_request& request, time_point now);
  arbiter_effects withdraw(holder_id holder, time_point now);
  // The holder has this memory already, from before our start, and gets a lease of it. It is
  // refused when the machine has no such memory or somebody else has it, so call it before the
  // first acquire(). Ignored when the holder has a lease or a pending request.
  arbiter_effects adopt(const lease_request& request, const gpu_set& gpus, time_point now);
  // Ignored unless `token` is the holder's current one.
  arbiter_effects release(holder_id holder, fencing_token token, time_point now);
  // The holder is gone with all that it ran. Its request and its lease end, and it is forgotten.
  arbiter_effects remove(holder_id holder, time_point now);
  arbiter_effects demand(holder_id holder, const holder_demand& demand, time_point now);
  arbiter_effects advance(time_point now);
  // The time to call advance() at: a pending request may then be served without another event.
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
    time_point served_since = never;  // first report, since the grant, of requests in flight
    bool asked_back = false;
    bool reported = false;  // its queue has reported since the grant; until then it may have work
  };
  struct pending_request {
    lease_request request;
    time_point since;
    bool evicted = false;  // a holder was asked back for it
  };
  // Bytes on each GPU that are left for the requests that decide() has not looked at yet.
  struct room {
    std::vector<std::uint64_t> free;  // held by nobody
    // Free or asked back, and not reserved by an earlier request. Later ones may take only of this.
    std::vector<std::uint64_t> unreserved;
  };

  std::size_t gpus_of(const gpu_need& need) const;
  std::optional<std::uint64_t> bytes_on(std::uint32_t gpu, const gpu_need& need) const;
  gpu_set fitting(const gpu_need& need, const std::vector<std::uint64_t>& there) const;
  bool fits(const gpu_need& need) const;
  const holder_demand& demand_of(holder_id holder) const;
  bool is_busy(const lease& l) const;
  static bool is_kept_from(const lease& l, const pending_request& asking);
  bool may_be_asked(const lease& l, const pending_request& asking, time_point now) const;
  double reload_cost(const lease& l) const;
  work_class class_of(const lease_request& request) const;
  time_point waits_since(const pending_request& p, time_point oldest_ticket) const;
  time_point overdue_at(const pending_request& p) const;
  bool is_overdue(const pending_request& p, time_point now) const;
  bool is_awaited(const pending_request& p) const;
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
  std::map<holder_id, time_point> turn_ended_;  // when its last lease ended
  time_point deadline_ = never;
};

}  // namespace signalbox::scheduling
