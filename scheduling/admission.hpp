// Decides which requests may go to a model and which have to wait. Each model has one such object,
// which its model_queue actor owns (docs/ARCHITECTURE.md "Control plane"). Each call takes an event
// and `now`, and returns effects.
//
// Capacity is counted in *units*. A unit is the right to have one request in flight at one backend.
// Each backend has a number of units, and all backends of the model serve one queue. A unit is
// either free and kept here, or out at a shard, as a credit (unused) or inside a permit (in use).
// To grant a ticket a permit is to give a unit to the ticket's shard. A stocked shard keeps the
// unit when its permit ends. A shard that was recalled, or was never stocked, returns it. Hence for
// each backend, always: free + sum of held(shard) == units.
//
// Tickets are served by class, then by priority, then by fair share between principals
// (fair_share.hpp), then in order of arrival. A ticket returns when its permit was given up to make
// room: it stands where it stood before, even beyond max_waiting. Tickets age: for every
// max_starvation that the oldest ticket of a priority has waited, all tickets of that priority
// count as one priority more urgent. All of them move up, because the principal that was served
// most waits longest: if only old tickets moved up, it would overtake those that were served least.
// Priorities that count as equal are served as one.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "scheduling/shard_report.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// The limits of one model's queue.
struct admission_limits {
  std::uint32_t expected_units = 1;  // units of all backends; estimates use it while none is open
  std::uint32_t max_waiting = 0;     // tickets; 0: refuse while no unit is free
  duration max_starvation = std::chrono::seconds(30);  // above 0
};

// The weights of prompt and completion tokens in a request's cost: w_p and w_q of the paper that
// fair_share.hpp names. A completion token counts more because each takes a step of the model,
// while the prompt's tokens go through it together.
struct token_weights {
  static constexpr double least_cost = 1;  // weighted tokens, of any request

  double prompt = 1;
  double completion = 2;

  double cost(double prompt_tokens, double completion_tokens) const {  // weighted tokens
    return std::max(least_cost, prompt * prompt_tokens + completion * completion_tokens);
  }
};

// Where a ticket stands among all tickets of one life of the queue: the order of arrival.
struct queue_place {
  time_point arrival{};
  // The number of the ticket, from 1. 0: it has none, because the permit was taken by credit at
  // `arrival`. The queue gives it the next number, so that it stands behind all that arrived by
  // then.
  std::uint64_t sequence = 0;

  auto operator<=>(const queue_place&) const = default;
};

// A request that asks for a permit, and waits for it if it has to.
struct ticket {
  ticket_id id = 0;
  shard_id shard = 0;
  work_class work = work_class::realtime;
  signalbox::priority level = priority::normal;
  // A ticket that still waits at its deadline is refused with deadline_passed. A deadline that is
  // over when the ticket comes means "now or not at all".
  time_point deadline = never;
  bool is_patient = false;      // its client said how long it waits
  std::uint32_t principal = 0;  // who asks; 0 is the one principal of all unnamed requests
  double weight = 1;            // the principal's share relative to others, above 0
  double estimate = 0;          // cost, weighted tokens; at least token_weights::least_cost
  // The place of its permit, if that was given up to make room: the ticket stands there again. Only
  // a place of this life of the queue has a meaning.
  std::optional<queue_place> place{};
};

// The charge of a permit. The shard keeps it to report the correction in principal_service later.
struct service_charge {
  std::uint32_t principal = 0;
  work_class work = work_class::realtime;
  double weight = 1;
  double cost = 0;  // weighted tokens
};

// The service that one principal had since its shard's last report, in one class.
struct principal_service {
  std::uint32_t principal = 0;
  work_class work = work_class::realtime;
  double weight = 1;
  std::uint32_t begun = 0;  // requests that took their permit by credit
  double charged = 0;       // estimated cost of these, weighted tokens
  std::uint32_t ended = 0;  // requests that ended
  double corrected = 0;     // real cost of these minus their charge, weighted tokens; often below 0
};

// Effects. Each ticket ends once: granted, refused or cancelled.

// The ticket's shard may send the request to this backend.
struct grant_permit {
  ticket_id id;
  shard_id shard;
  backend_id backend;
  work_class work;
  duration waited;
  service_charge charge;
  queue_place place;  // where the ticket stood
};
// The ticket's request is refused.
struct refuse_ticket {
  ticket_id id;
  shard_id shard;
  refusal why;
  duration retry_after;  // 1 s to 10 min by the measured service rate, or the caller's
};
// The shard gets units that it may use for requests without asking.
struct give_credits {
  shard_id shard;
  backend_id backend;
  std::uint32_t count;
};
// The shard returns its unused units of this backend at once, and each unit in use when its request
// ends, until it is given credits of that backend again.
struct recall_credits {
  shard_id shard;
  backend_id backend;
};
// The shard cancels those of its requests in flight that are of this class and can be sent again,
// and submits new tickets for them.
struct preempt_permits {
  shard_id shard;
  work_class work;
};

using admission_effect =
    std::variant<grant_permit, refuse_ticket, give_credits, recall_credits, preempt_permits>;
using admission_effects = std::vector<admission_effect>;

// The place of a waiting ticket in the queue.
struct ticket_place {
  // 1 is next. While all tickets of its priority have one principal, the position is exact, except
  // for later aging and for more urgent tickets that come later. With several principals it assumes
  // that each keeps asking for the usual amount: see fair_share::ahead().
  std::uint32_t position;
  duration estimate;  // time until it is granted, from the measured rate; 0 when nothing is known
};

// The admission of one model: see the top of this file.
class admission {
 public:
  explicit admission(admission_limits limits);
  ~admission();
  admission(admission&&) noexcept;
  admission& operator=(admission&&) noexcept;

  // A shard introduces itself, perhaps not for the first time. It has no credits, and `in_use` are
  // the units that it holds from an earlier life of this object. They count against their backends
  // until they return, even if the backends have fewer units than that.
  admission_effects attach_shard(shard_id shard, std::span<const backend_units> in_use,
                                 time_point now);

  // An open backend can serve `units` requests at once, at least 1; a closed one serves none, and
  // every backend starts closed. While all are closed nothing is granted, and tickets go on
  // waiting. close() recalls the backend's credits; the backend is drained when held(backend) is 0.
  admission_effects open(backend_id backend, std::uint32_t units, time_point now);
  admission_effects close(backend_id backend, time_point now);
  // Changes the number of units of a known backend. Units in use beyond it return as they end.
  admission_effects set_units(backend_id backend, std::uint32_t units, time_point now);
  admission_effects set_limits(const admission_limits& limits, time_point now);

  // Between the two nothing is decided: what a shard says in one message counts together.
  void hold();
  admission_effects decide(time_point now);

  // Ignores an id that waits already: a shard submits again after a restart of the owner. A ticket
  // with a place is admitted even beyond max_waiting: it was admitted before, and its request must
  // not fail for that.
  admission_effects submit(const ticket& t, time_point now);
  // Ignores an unknown id, which was granted or refused already; the shard returns the unit of a
  // grant that it no longer wants.
  admission_effects cancel(ticket_id id, time_point now);
  // A shard returns `units`. More than it holds is the caller's error, and counts as all it holds.
  admission_effects give_back(shard_id shard, backend_id backend, std::uint32_t units,
                              time_point now);
  // Takes a shard's report of the units of one backend that it has in use.
  void report(shard_id shard, const backend_report& report, time_point now);
  // Takes how requests ended since the shard's last report. The mean service time comes from it,
  // since requests by credit are not seen here one by one.
  void count_settled(const settled_counts& settled);
  // Takes the service that a shard's principal had. Call it before give_back() of the same turn.
  void count_service(const principal_service& service, time_point now);
  // All shards cancel their requests in flight of this class and queue them again.
  admission_effects preempt(work_class work, time_point now);
  // Refuses every waiting ticket: after a crash loop, at a shutdown, or when the model cannot fit.
  admission_effects refuse_all(refusal why, duration retry_after, time_point now);
  // Refuses the tickets that are not patient.
  admission_effects refuse_impatient(refusal why, duration retry_after, time_point now);
  // Refuses tickets whose deadline has passed. Call it at next_deadline() or later.
  admission_effects advance(time_point now);
  time_point next_deadline() const;  // `never` without a deadline; may be early, not late

  std::optional<ticket_place> place(ticket_id id, time_point now) const;
  std::uint32_t waiting() const;  // tickets
  std::uint32_t waiting(work_class work) const;
  time_point oldest_wait_since() const;                 // arrival of the oldest; `never` if none
  time_point oldest_wait_since(work_class work) const;  // of this class
  std::uint32_t held() const;                           // units at shards, unused or in use
  std::uint32_t held(backend_id backend) const;
  bool is_said_in_use(backend_id backend) const;  // by the shards' last reports
  // As last reported. A shard without credits has all in use that it holds.
  class_counts in_use() const;
  class_counts in_use(backend_id backend) const;
  std::uint64_t units() const;                       // of open backends
  time_point last_active() const;                    // when a request last waited or was in use
  time_point last_active(backend_id backend) const;  // when one last waited, or used this backend
  duration mean_service() const;                     // EWMA; 0 when nothing is known
  bool is_open() const;                              // at least one backend is open
  bool is_open(backend_id backend) const;
  const admission_limits& limits() const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace signalbox::scheduling
