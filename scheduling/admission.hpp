// Who may send a request to a model, and who waits: one object for each model, owned by its
// model_queue actor (docs/ARCHITECTURE.md "Admission"; design rule: an event and `now` in, effects
// out).
//
// The unit of account is the *unit*: the right to have one request in flight at one backend. Each
// backend has a number of them; all backends of the model serve one queue. A unit is either here
// (free) or out at a shard; a shard holds it as a credit (unused), or inside a permit (in use). A
// permit granted to a ticket is a unit given to the ticket's shard. A shard that is stocked keeps a
// unit when its permit ends; a shard that was recalled returns it, and so does one that was not
// stocked yet. Hence for each backend: free + sum of held(shard) == units, always.
//
// Order among tickets: class, then priority, then fair share between principals (fair_share.hpp),
// then arrival. Aging: for every max_starvation that the oldest ticket of a priority has waited,
// all tickets of that priority count as one priority more urgent. All of them, because the
// principal that was served most waits longest: if only old tickets moved up, it would overtake
// those that were served least. Priorities that count as equal are served as one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "scheduling/shard_report.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

struct admission_limits {
  std::uint32_t expected_units = 1;  // of all backends, for estimates while none is open
  std::uint32_t max_waiting = 0;                       // tickets; 0: never wait while full
  duration max_starvation = std::chrono::seconds(30);  // above 0
};

// What a token counts (w_p and w_q of the paper): a generated one takes a whole step of the model,
// prompt tokens go through it together.
struct token_weights {
  static constexpr double least_cost = 1;  // of a request: nobody is served for nothing for ever

  double prompt = 1;
  double completion = 2;

  double cost(double prompt_tokens, double completion_tokens) const {  // weighted tokens
    return std::max(least_cost, prompt * prompt_tokens + completion * completion_tokens);
  }
};

struct ticket {
  ticket_id id = 0;
  shard_id shard = 0;
  work_class work = work_class::realtime;
  signalbox::priority level = priority::normal;
  // Refused with deadline_passed when it still waits then. One that is over as the ticket comes
  // says "now or not at all".
  time_point deadline = never;
  std::uint32_t principal = 0;  // who asks; 0: nobody in particular, one principal like others
  double weight = 1;            // its share next to others', above 0
  double estimate = 0;          // of its cost, weighted tokens; at least token_weights::least_cost
};

// What a permit was charged, for its end: see principal_service.
struct service_charge {
  std::uint32_t principal = 0;
  work_class work = work_class::realtime;
  double weight = 1;
  double cost = 0;  // weighted tokens
};

// What one principal was served, as its shard tells now and then.
struct principal_service {
  std::uint32_t principal = 0;
  work_class work = work_class::realtime;
  double weight = 1;
  std::uint32_t begun = 0;  // requests that took their permit by credit, and their estimated cost
  double charged = 0;
  std::uint32_t ended = 0;  // requests, and what they cost beyond their charge; often below 0
  double corrected = 0;
};

// Effects. Each ticket ends once: granted, refused or cancelled.
struct grant_permit {
  ticket_id id;
  shard_id shard;
  backend_id backend;
  work_class work;
  duration waited;
  service_charge charge;
};
struct refuse_ticket {
  ticket_id id;
  shard_id shard;
  refusal why;
  duration retry_after;  // computed from the measured service rate; at least 1 s
};
struct give_credits {
  shard_id shard;
  backend_id backend;
  std::uint32_t count;
};
// The shard returns what is unused of this backend at once and each unit in use as it ends, until
// it is given credits of it again.
struct recall_credits {
  shard_id shard;
  backend_id backend;
};
// The shard cancels at their backends what it has in flight of this class and may send again, and
// submits their tickets anew.
struct preempt_permits {
  shard_id shard;
  work_class work;
};

using admission_effect =
    std::variant<grant_permit, refuse_ticket, give_credits, recall_credits, preempt_permits>;
using admission_effects = std::vector<admission_effect>;

struct ticket_place {
  // 1: next. But for later aging and later, more urgent arrivals it is exact while all that wait at
  // its priority have one principal. With several it supposes that each goes on asking for as much
  // as is usual: see fair_share::ahead().
  std::uint32_t position;
  duration estimate;  // until it is granted, from the measured rate; 0 when nothing is known
};

class admission {
 public:
  explicit admission(admission_limits limits);
  ~admission();
  admission(admission&&) noexcept;
  admission& operator=(admission&&) noexcept;

  // A shard (re)introduces itself: it holds these units of an earlier life of this object and no
  // credits. They count against their backends, even beyond what these have, until they return.
  admission_effects attach_shard(shard_id shard, std::span<const backend_units> in_use,
                                 time_point now);

  // A backend can serve so many requests at once (at least 1), or no more (as at first). While none
  // can, nothing is granted and tickets go on waiting. A closed backend's credits are recalled; it
  // is drained when held(backend) is 0.
  admission_effects open(backend_id backend, std::uint32_t units, time_point now);
  admission_effects close(backend_id backend, time_point now);
  // Units of a known backend may be more or fewer from now on; those over it return as they end.
  admission_effects set_units(backend_id backend, std::uint32_t units, time_point now);
  admission_effects set_limits(const admission_limits& limits, time_point now);

  // A known id is ignored: the shard resubmits after a restart of the owner.
  admission_effects submit(const ticket& t, time_point now);
  // Unknown (already granted, refused): no effect; the shard returns a grant it no longer wants.
  admission_effects cancel(ticket_id id, time_point now);
  // `units` come back from a shard; more than it holds is an error of the caller, and clamped.
  admission_effects give_back(shard_id shard, backend_id backend, std::uint32_t units,
                              time_point now);
  // What the shard says now and then of the units that it uses of a backend.
  void report(shard_id shard, const backend_report& report, time_point now);
  // How requests ended since the shard's last report, for the estimate: credits hide single ones.
  void count_settled(const settled_counts& settled);
  // What a shard says its principals were served, before it gives back the units of the same turn.
  void count_service(const principal_service& service, time_point now);
  // All shards give up what is in flight of this class, and wait for it anew.
  admission_effects preempt(work_class work, time_point now);
  // Every waiting ticket is refused (a crash loop, a shutdown, a model that cannot fit).
  admission_effects refuse_all(refusal why, duration retry_after, time_point now);
  // Takes out tickets whose deadline has passed. Call at next_deadline() or later.
  admission_effects advance(time_point now);
  time_point next_deadline() const;  // `never` when nothing waits with one; may be early, not late

  std::optional<ticket_place> place(ticket_id id, time_point now) const;
  std::uint32_t waiting() const;  // tickets
  std::uint32_t waiting(work_class work) const;
  time_point oldest_wait_since() const;                 // arrival of the oldest; `never` if none
  time_point oldest_wait_since(work_class work) const;  // of this class
  std::uint32_t held() const;                           // units at shards: credits and in use
  std::uint32_t held(backend_id backend) const;
  class_counts in_use() const;  // as last reported; of shards without credits: all that they hold
  class_counts in_use(backend_id backend) const;
  std::uint64_t units() const;                       // of backends that are open
  time_point last_active() const;                    // when anything last waited or was in use
  time_point last_active(backend_id backend) const;  // when anything last waited, or used it
  duration mean_service() const;                     // EWMA; 0 when nothing is known
  bool is_open() const;                              // any backend is
  bool is_open(backend_id backend) const;
  const admission_limits& limits() const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace signalbox::scheduling
