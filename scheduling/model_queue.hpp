// One model's queue. It decides which requests wait and which get a permit (admission), and what
// its backends, the lease pool and the shards are told. Its model_queue actor owns it, and the
// simulation drives the same class.
//
//   shard ── shard_batch ──▶ admission ── grants, refusals, credits, recalls ──▶ shard
//
// While a ticket waits, each closed backend is told ensure_ready once a second. A request whose
// client does not wait is refused; as the client will probably come again, backends are told once.
// A backend that only such clients want loads where there is room; it takes nobody's lease.
//
//   backend ── open ──▶ permits and credits flow
//   backend ── close ──▶ credits are recalled ── … the last unit is back, and all shards have
//                        attached ──▶ queue_drained ──▶ backend
//   backend ── refuse_waiting ──▶ while all backends do this, waiting and new tickets are refused,
//                                 each time for as long as the backend says; then the next ticket
//                                 asks for a start (ensure_ready) again. While it says "until I am
//                                 ready", tickets of clients who said how long they wait are spared
//   shard ── runtime_signs ──▶ backend, which judges them. A refused connection closes the backend
//                              at once, so that a ticket which returns is not granted there again;
//                              the backend opens when its runtime was found healthy
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

// The message of one turn of a shard's loop to one queue. The queue takes all of it before it
// decides anything, so that units which come with tickets are granted in the order of the tickets.
// Cancelled tickets, service and units count first, then tickets that return to their old place,
// then new ones. A ticket that came and left in one turn is in both lists, and never waited.
// keep_loaded is the last of what requests said: see model_lifecycle.
struct shard_batch {
  shard_id shard = 0;
  std::vector<ticket_id> cancelled;       // may be among `tickets`
  std::vector<principal_service> served;  // one for each principal and class
  std::vector<backend_report> backends;   // those with something to report
  settled_counts settled;
  std::vector<ticket> tickets;
  std::vector<ticket_id> place_queries;
  std::optional<duration> keep_loaded;
};

// The settings of one model's queue.
struct model_queue_options {
  admission_limits limits;
  duration expected_load = std::chrono::seconds(10);  // of a backend that has not said
  std::size_t shards = 0;  // only when all have attached is it known that nothing is in flight
};

// Effects beside those of admission, which the actor carries out in order.

// The answer to a place query.
struct tell_place {
  shard_id shard;
  ticket_id id;
  std::uint32_t position;  // 1: next
  duration eta;
};
// The backend should become ready, because a request wants it.
struct ensure_backend {
  backend_id backend;
};
// The answer to close() when nothing of the backend is in flight.
struct tell_drained {
  backend_id backend;
  std::uint64_t closing;
};
// The answer to close(only_if_idle) when the queue is not idle and stays open.
struct tell_not_idle {
  backend_id backend;
  std::uint64_t closing;
};
// The backend is told when it was last used, and whether requests wait.
struct tell_activity {
  backend_id backend;
  time_point last_active;
  bool waiting;
};
// The backend is told what requests noticed of its runtime.
struct tell_signs {
  backend_id backend;
  runtime_signs signs;
};
// The backend is told how long requests want it to stay loaded.
struct tell_keep_loaded {
  backend_id backend;
  duration idle;  // as in model_lifecycle::keep_loaded
};
// The lease pool is told of the holder's work.
struct tell_demand {
  holder_id holder;
  holder_demand demand;
};
using queue_effect =
    std::variant<grant_permit, refuse_ticket, give_credits, recall_credits, preempt_permits,
                 tell_place, ensure_backend, tell_drained, tell_not_idle, tell_activity, tell_signs,
                 tell_keep_loaded, tell_demand>;
using queue_effects = std::vector<queue_effect>;

// The queue of one model over all its backends: see the top of this file.
class model_queue {
 public:
  explicit model_queue(const model_queue_options& options);

  // A shard introduces itself at the start and after a restart of this queue: see admission.
  queue_effects attach_shard(shard_id shard, std::span<const backend_units> in_use, time_point now);
  // Ignores a shard that is not attached: it will attach, and send its tickets again.
  queue_effects take(const shard_batch& batch, time_point now);

  // The backend serves this model from now on, and is closed at first. A known one is closed too,
  // because a backend that starts anew has no runtime yet.
  queue_effects add_backend(backend_id backend, time_point now);
  queue_effects remove_backend(backend_id backend, time_point now);
  // The backend has this holder number. From now on its demand is told to the lease pool.
  queue_effects set_holder(backend_id backend, holder_id holder, time_point now);
  // The lease pool was started anew and will give each backend another holder number.
  queue_effects forget_holders(time_point now);
  // `run` is the runtime's start. If the backend is open for another run, it is closed first.
  // Nothing is given out before all shards have attached: the requests that they have in flight may
  // be all that the runtime takes.
  queue_effects open(backend_id backend, std::uint32_t units, std::uint64_t run, time_point now);
  queue_effects close(backend_id backend, std::uint64_t closing, bool only_if_idle, time_point now);
  queue_effects set_units(backend_id backend, std::uint32_t units, time_point now);
  // Clients see `detail`, so it holds no path and no secret. With `until_ready` it counts until
  // open(), and spares patient tickets.
  queue_effects refuse_waiting(backend_id backend, refusal why, duration retry_after,
                               const std::string& detail, time_point now, bool until_ready = false);
  // `expected` is the time that a load takes. `ready_at` is the end of the load that runs or is
  // due; `never` means that it is not known.
  queue_effects set_load(backend_id backend, duration expected, time_point ready_at,
                         time_point now);
  queue_effects set_limits(const admission_limits& limits, time_point now);
  queue_effects preempt(work_class work, time_point now);
  // Refuses all waiting and all later tickets with shutting_down, for ever.
  queue_effects stop(time_point now);
  queue_effects advance(time_point now);
  time_point next_deadline() const { return next_deadline_; }

  // Returns the text that a backend gave with this refusal, for clients; empty without one.
  std::string detail_of(refusal why) const;

  const admission& permits() const { return admission_; }
  const settled_counts& settled() const { return settled_; }  // so far; without `service`
  std::uint64_t timed_out() const { return timed_out_; }      // tickets that passed their deadline

 private:
  struct refusal_in_force {
    refusal why;
    time_point until;
    std::string detail;
    bool spares_patient = false;
  };
  struct closing_order {
    std::uint64_t number;
    bool only_if_idle;
  };
  struct told_activity {
    time_point last_active;
    bool waiting;

    bool operator==(const told_activity&) const = default;
  };
  struct backend {
    backend_id id = 0;
    std::optional<holder_id> holder{};  // empty until the pool has told it
    std::uint64_t run = 0;
    std::uint32_t units = 0;
    bool is_open_due = false;  // an open() waits for shards to attach
    bool is_suspect = false;   // it hears of each byte of its runtime
    bool is_proven = false;    // it was told that this run has served a request
    duration expected_load{};
    time_point ready_at = never;
    std::optional<closing_order> closing{};  // not answered yet
    std::optional<refusal_in_force> refusing{};
    time_point next_ensure{};  // no ensure_ready before this
    std::optional<told_activity> activity{};
    time_point next_activity{};
    std::optional<holder_demand> demand{};
    time_point demand_told_at{};
  };

  backend* find(backend_id id);
  void take_effects(const admission_effects& effects, time_point now);
  bool knows_all_shards() const { return attached_.size() >= options_.shards; }
  void open_due(time_point now);
  const refusal_in_force* refusal_now(time_point now);
  bool spares_patient() const;
  bool is_wanted(time_point now);
  duration delay_now(time_point now) const;
  duration rest_of_load(const backend& b, time_point now) const;
  duration retry_after(const refusal_in_force& why, time_point now) const;
  void notice(backend_id id, const runtime_signs& signs, time_point now);
  void note_waits(time_point now);
  void submit(const shard_batch& batch, time_point now);
  void submit(const ticket& t, time_point now);
  void answer_place_queries(const shard_batch& batch, time_point now);
  void count_arrivals(std::uint32_t ended, time_point now);
  queue_effects finish(time_point now);
  void answer_closing(backend& b, time_point now);
  void ensure(backend& b, time_point now);
  void report_activity(backend& b, time_point now);
  void report_demand(backend& b, time_point now);
  holder_demand demand_of(const backend& b) const;
  void wake_at(time_point when) { next_deadline_ = std::min(next_deadline_, when); }

  model_queue_options options_;
  admission admission_;
  std::vector<backend> backends_;  // a handful
  std::vector<shard_id> attached_;
  std::optional<refusal_in_force> stopped_;  // set by stop()
  queue_effects out_;
  time_point next_deadline_ = never;
  time_point interest_until_{};
  time_point awaited_since_ = never;  // when a load began to be awaited; `never`: none is
  time_point progress_at_{};          // when a ticket was last granted, or a request ended
  settled_counts settled_;
  std::uint64_t timed_out_ = 0;
  double arrivals_per_s_ = 0;
  time_point arrivals_counted_at_{};
};

}  // namespace signalbox::scheduling
