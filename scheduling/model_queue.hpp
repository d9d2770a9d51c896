// One model's queue: who waits, who gets a permit (admission), and what is told to the backends
// that serve it, to the lease pool and to the shards. Owned by its model_queue actor; the
// simulation drives the same class.
//
//   shard ── shard_batch ──▶ admission ── grants, refusals, credits, recalls ──▶ shard
//
// While something waits, each backend that is closed hears ensure_ready, once a second; and once
// for a request that would not wait, was refused, and will be sent again.
//   backend ── open ──▶ permits and credits flow
//   backend ── close ──▶ credits recalled ── … its last unit back, and all shards of an earlier
//   life
//                        of ours heard ──▶ queue_drained ──▶ backend
//   backend ── refuse_waiting ──▶ while all backends do: everything that waits is refused, and what
//                                 comes, for that time; then the next ticket is the probe
//                                 (ensure_ready again)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "scheduling/admission.hpp"
#include "scheduling/lease_arbiter.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// What one turn of a shard's loop has to say to one queue. It is taken in this order, whatever came
// first. 1. Cancelled tickets make room. 2. What was served counts before 3. the units that came
// back are granted. 4. The report is as of now, so that 5. new tickets are judged by it. A ticket
// that came and left in one turn is in both lists and never waited.
struct shard_batch {
  shard_id shard = 0;
  std::vector<ticket_id> cancelled;       // may be among `tickets`
  std::vector<principal_service> served;  // one for each principal and class
  std::vector<backend_report> backends;   // those of which there is something to say
  settled_counts settled;
  std::vector<ticket> tickets;
  std::vector<ticket_id> place_queries;
};

struct model_queue_options {
  admission_limits limits;
  duration expected_load = std::chrono::seconds(10);  // of a backend that has told none yet
  std::size_t shards = 0;  // that must attach before it can be known that nothing is in flight
};

// Effects beside those of admission, for the actor to carry out in order.
struct tell_place {  // where a ticket stands, as it asked
  shard_id shard;
  ticket_id id;
  std::uint32_t position;  // 1: next
  duration eta;
};
struct ensure_backend {  // somebody waits
  backend_id backend;
};
struct tell_drained {  // the answer to close()
  backend_id backend;
  std::uint64_t closing;
};
struct tell_not_idle {  // the other answer to close(only_if_idle)
  backend_id backend;
  std::uint64_t closing;
};
struct tell_activity {
  backend_id backend;
  time_point last_active;
  bool waiting;
};
struct tell_demand {
  holder_id holder;
  holder_demand demand;
};
using queue_effect = std::variant<grant_permit, refuse_ticket, give_credits, recall_credits,
                                  preempt_permits, tell_place, ensure_backend, tell_drained,
                                  tell_not_idle, tell_activity, tell_demand>;
using queue_effects = std::vector<queue_effect>;

class model_queue {
 public:
  explicit model_queue(const model_queue_options& options);

  // A shard introduces itself, at the start and after a restart of this queue: see admission.
  queue_effects attach_shard(shard_id shard, std::span<const backend_units> in_use, time_point now);
  // From a shard that is not attached it is ignored: the shard will attach, and send its tickets
  // again.
  queue_effects take(const shard_batch& batch, time_point now);

  // The backend serves this model from now on; it is closed. Known ones are closed by it: a backend
  // that is started anew has no runtime yet.
  queue_effects add_backend(backend_id backend, time_point now);
  queue_effects remove_backend(backend_id backend, time_point now);
  // Demand is told to the lease pool for each backend whose holder is known.
  queue_effects set_holder(backend_id backend, holder_id holder, time_point now);
  // The lease pool was started anew: it will give out numbers of holders anew.
  queue_effects forget_holders(time_point now);
  // `run` names the runtime that serves; permits of another run are closed off first.
  queue_effects open(backend_id backend, std::uint32_t units, std::uint64_t run, time_point now);
  queue_effects close(backend_id backend, std::uint64_t closing, bool only_if_idle, time_point now);
  queue_effects set_units(backend_id backend, std::uint32_t units, time_point now);
  // `detail` is for clients: no path, no secret.
  queue_effects refuse_waiting(backend_id backend, refusal why, duration retry_after,
                               const std::string& detail, time_point now);
  // How long a load takes, and when the one that runs or is due is over (never: not known).
  queue_effects set_load(backend_id backend, duration expected, time_point ready_at,
                         time_point now);
  queue_effects set_limits(const admission_limits& limits, time_point now);
  queue_effects preempt(work_class work, time_point now);
  // Everything that waits, and all that comes, is refused with shutting_down, for ever.
  queue_effects stop(time_point now);
  queue_effects advance(time_point now);
  time_point next_deadline() const { return next_deadline_; }

  // What refuse_ticket.why means to the client whose ticket it was.
  std::string text_of(refusal why) const;

  const admission& permits() const { return admission_; }
  const settled_counts& settled() const { return settled_; }  // all that ended, without times
  std::uint64_t timed_out() const { return timed_out_; }      // refused as their deadline passed

 private:
  struct refusal_in_force {
    refusal why;
    time_point until;
    std::string detail;
  };
  struct told_activity {
    time_point last_active;
    bool waiting;

    bool operator==(const told_activity&) const = default;
  };
  struct backend {
    backend_id id = 0;
    std::optional<holder_id> holder{};  // none: not known yet
    std::uint64_t run = 0;
    duration expected_load{};
    time_point ready_at = never;
    std::optional<std::uint64_t> closing{};  // close() that is not answered yet
    std::optional<refusal_in_force> refusing{};
    time_point next_ensure{};  // when it may hear ensure_ready again
    std::optional<told_activity> activity{};
    time_point next_activity{};
    std::optional<holder_demand> demand{};
    time_point demand_told_at{};
  };

  backend* find(backend_id id);
  void take_effects(const admission_effects& effects, time_point now);
  bool knows_all_shards() const { return attached_.size() >= options_.shards; }
  const refusal_in_force* refusal_now(time_point now);
  bool is_wanted(time_point now);
  duration rest_of_load(time_point now) const;
  void submit(const shard_batch& batch, time_point now);
  void answer_place_queries(const shard_batch& batch, time_point now);
  void count_arrivals(std::uint32_t ended, time_point now);
  queue_effects finish(time_point now);
  void answer_closing(backend& b);
  void ensure(backend& b, time_point now);
  void report_activity(backend& b, time_point now);
  void report_demand(backend& b, time_point now);
  holder_demand demand_of(const backend& b) const;
  void wake_at(time_point when) { next_deadline_ = std::min(next_deadline_, when); }

  model_queue_options options_;
  admission admission_;
  std::vector<backend> backends_;  // a handful
  std::vector<shard_id> attached_;
  std::optional<refusal_in_force> stopped_;  // for ever
  queue_effects out_;
  time_point next_deadline_ = never;
  time_point interest_until_{};
  settled_counts settled_;
  std::uint64_t timed_out_ = 0;
  double arrivals_per_s_ = 0;
  time_point arrivals_counted_at_{};
};

}  // namespace signalbox::scheduling
