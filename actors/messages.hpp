// Every message between the planes and between actors, as plain structs (no CAF, no Asio).
// Facts are past tense, commands imperative; units stand last in a name.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/settings.hpp"
#include "records/crash.hpp"
#include "records/keys.hpp"
#include "records/runtime.hpp"
#include "records/usage.hpp"
#include "scheduling/admission.hpp"
#include "scheduling/gpu_set.hpp"
#include "scheduling/lease_arbiter.hpp"
#include "scheduling/model_lifecycle.hpp"
#include "scheduling/model_queue.hpp"
#include "scheduling/rate_limit.hpp"
#include "scheduling/types.hpp"

namespace signalbox {

// Where permits of one run of a backend are spent. Immutable; shared by shards.
struct backend_endpoint {
  backend_id backend = 0;
  std::string host;     // for the Host header, as the configuration names it; IPv6 in brackets
  std::string address;  // the IP to connect to, in text, without brackets
  std::uint16_t port = 0;
  std::string upstream_model;     // what the runtime calls the model
  std::uint64_t incarnation = 0;  // of the backend's run; a new run has a greater one
};
using endpoint_ptr = std::shared_ptr<const backend_endpoint>;

// model_queue → shard: through shard_inbox, in order

struct permit_granted {
  model_index model;
  ticket_id ticket;
  endpoint_ptr endpoint;
  scheduling::service_charge charge;
};
struct ticket_refused {
  model_index model;
  ticket_id ticket;
  refusal why;
  double retry_after_s;
  std::string detail;  // for the client; no path, no secret
};
struct credits_given {
  model_index model;
  std::uint32_t count;
  endpoint_ptr endpoint;
};
struct credits_recalled {
  model_index model;
  backend_id backend;
};
struct ticket_placed {
  model_index model;
  ticket_id ticket;
  std::uint32_t position;
  double eta_s;
};
// Cancel at their backends the requests of this class that may be sent again; their tickets wait
// anew, where they stood before.
struct class_preempted {
  model_index model;
  work_class work;
};
// The model is served no more, and its queue is gone: nothing that waits for it will be granted.
struct model_gone {
  model_index model;
};
// A queue was started anew and knows nothing: introduce yourself (shard_attached), resubmit.
struct queue_restarted {
  model_index model;
};

using shard_event = std::variant<permit_granted, ticket_refused, credits_given, credits_recalled,
                                 ticket_placed, class_preempted, queue_restarted, model_gone>;

// The way into a shard from any thread. Never blocks; after the shard stopped, events are dropped.
class shard_inbox {
 public:
  virtual ~shard_inbox() = default;
  virtual void post(std::vector<shard_event> events) = 0;
};
using shard_inbox_ptr = std::shared_ptr<shard_inbox>;

// shard → model_queue

struct shard_attached {
  shard_id shard;
  shard_inbox_ptr inbox;
  std::vector<scheduling::backend_units> in_use;
};
using scheduling::shard_batch;

// model_queue ↔ model_backend → queue

struct ensure_ready {};  // somebody waits
struct queue_activity {
  time_point last_active;
  bool waiting;
};  // on change, at most 2 a second
struct queue_drained {
  std::uint64_t closing;
};
struct queue_not_idle {
  std::uint64_t closing;
};
struct open_queue {
  endpoint_ptr endpoint;
  std::uint32_t units;  // requests that it takes at once
};
// Numbered by its backend, from 1; the answer carries the number, so that an answer that comes late
// is not taken for that to a later closing.
struct close_queue {
  backend_id backend;
  std::uint64_t closing;
  bool only_if_idle;
};
struct units_changed {  // of an open backend
  backend_id backend;
  std::uint32_t units;
};
struct backend_removed {  // it ended
  backend_id backend;
};
struct refuse_waiting {
  backend_id backend;
  refusal why;
  double retry_after_s;
  std::string detail;
};
// On change, for demand, ETA and Retry-After.
struct load_estimated {
  backend_id backend;
  duration expected_load;
  time_point ready_at = never;  // of the load that runs or is due; never: it begins when it may
};

// To model_queue: give back what is in flight of a class. Each request that may be sent again is
// cancelled at its backend and waits anew at its old place; no attempt is lost.
struct preempt_class {
  work_class work;
};

// Its backend's number at the lease pool, to report demand under.
struct holder_known {
  backend_id backend;
  holder_id holder;
};

// lease holder ↔ gpu_lease, model_queue → gpu_lease

struct register_holder {
  std::string name;  // for people: the model's, the run's, the program's
  holder_kind kind;
};
struct holder_registered {
  holder_id holder;
};
struct acquire_lease {
  scheduling::lease_request request;
};
struct withdraw_acquire {
  holder_id holder;
};
struct release_lease {
  holder_id holder;
  fencing_token token;
};
struct lease_granted {
  fencing_token token;
  scheduling::gpu_set gpus;
};
struct lease_refused {
  refusal why;
};
struct yield_lease {
  fencing_token token;
};
struct demand_reported {
  holder_id holder;
  scheduling::holder_demand demand;
};

// stores

struct list_crashes {
  std::uint32_t limit;
};  // newest first; at most 1000
struct crash_list {
  std::vector<crash_record> crashes;
};

// everybody

struct stop_all {};        // orderly shutdown
struct stop_when_idle {};  // the same, once nothing waits or is in flight
struct tick {};            // a delayed message to oneself

// questions from HTTP

struct get_queue_stats {};
struct queue_stats {  // seed 001's shape
  std::string model;
  std::uint32_t processing, waiting, max_concurrent, max_waiting;
  std::uint64_t total_processed, total_failed, total_timeout;
};

}  // namespace signalbox
