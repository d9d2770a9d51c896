// All messages between the planes and between actors, as plain structs without CAF or Asio. Names
// of facts are past tense, names of commands imperative; units stand last in a name.
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
#include "config/trust.hpp"
#include "records/backend_link.hpp"
#include "records/crash.hpp"
#include "records/keys.hpp"
#include "records/runtime.hpp"
#include "records/usage.hpp"
#include "scheduling/admission.hpp"
#include "scheduling/gpu_set.hpp"
#include "scheduling/lease_arbiter.hpp"
#include "scheduling/model_lifecycle.hpp"
#include "scheduling/model_queue.hpp"
#include "scheduling/outside_leases.hpp"
#include "scheduling/rate_limit.hpp"
#include "scheduling/types.hpp"

namespace signalbox {

// The address of one run of a backend, to which requests with its permits go. Immutable but for
// what the link says; shards share it.
struct backend_endpoint {
  backend_id backend = 0;
  std::string host;     // the Host header, as configured; IPv6 in brackets
  std::string address;  // the IP address to connect to, as text without brackets, until it moves
  std::uint16_t port = 0;
  std::string upstream_model;     // the runtime's name of the model
  std::uint64_t incarnation = 0;  // of the backend's run; a new run has a greater one
  std::string path{};             // put before that of each request
  std::string api_key{};          // sent as a bearer token; empty: none. Never logged
  config::trust_ptr trust{};      // for TLS; null: without
  std::shared_ptr<backend_link> link = std::make_shared<backend_link>();
};
using endpoint_ptr = std::shared_ptr<const backend_endpoint>;

// Messages of a model_queue to a shard, through shard_inbox and in order

// The shard may send the ticket's request to this endpoint.
struct permit_granted {
  model_index model;
  ticket_id ticket;
  endpoint_ptr endpoint;
  scheduling::service_charge charge;
  scheduling::queue_place place;  // where its ticket stood
};
// The ticket's request is refused.
struct ticket_refused {
  model_index model;
  ticket_id ticket;
  refusal why;
  double retry_after_s;
  std::string detail;  // of model_failed; the client sees it, so it has no path and no secret
};
// The shard gets units of a backend in advance.
struct credits_given {
  model_index model;
  std::uint32_t count;
  endpoint_ptr endpoint;
};
// The shard must return its units of a backend.
struct credits_recalled {
  model_index model;
  backend_id backend;
};
// The answer to a question for a ticket's place; position 1 is next.
struct ticket_placed {
  model_index model;
  ticket_id ticket;
  std::uint32_t position;
  double eta_s;
};
// The shard must cancel those of its requests in flight that are of this class and can be sent
// again. These wait again, under new tickets.
struct class_preempted {
  model_index model;
  work_class work;
};
// The model is not served any more and its queue has ended, so that its tickets get no permit.
struct model_gone {
  model_index model;
};
// A queue was started anew and knows nothing. The shard must introduce itself (shard_attached) and
// submit its tickets again.
struct queue_restarted {
  model_index model;
  std::uint32_t life;  // of the queue: how often it was restarted
};

using shard_event = std::variant<permit_granted, ticket_refused, credits_given, credits_recalled,
                                 ticket_placed, class_preempted, queue_restarted, model_gone>;

// Takes messages to a shard from any thread. It never blocks, and drops events once the shard has
// stopped.
class shard_inbox {
 public:
  virtual ~shard_inbox() = default;
  virtual void post(std::vector<shard_event> events) = 0;
};
using shard_inbox_ptr = std::shared_ptr<shard_inbox>;

// Messages of a shard to a model_queue

// A shard introduces itself with the units that it has in use.
struct shard_attached {
  shard_id shard;
  shard_inbox_ptr inbox;
  std::vector<scheduling::backend_units> in_use;
  std::uint32_t life = 0;  // of the queue that this introduction is for; another one ignores it
};
using scheduling::shard_batch;

// Messages between a model_queue and its backends

struct ensure_ready {};  // a request waits for the backend
// The queue's activity for the idle unload; sent on change, at most twice a second.
struct queue_activity {
  time_point last_active;
  bool waiting;
};
// A request wants the backend to stay loaded without work for so long.
struct keep_loaded {
  duration idle;  // below zero: for ever
};
// What requests noticed of the backend's runtime.
using scheduling::runtime_signs;
// The answer to close_queue when nothing of the backend is in flight.
struct queue_drained {
  std::uint64_t closing;
};
// The answer to close_queue{only_if_idle} when the queue has work and stays open.
struct queue_not_idle {
  std::uint64_t closing;
};
// The backend is ready.
struct open_queue {
  endpoint_ptr endpoint;
  std::uint32_t units;  // requests that it takes at once
};
// The backend will stop. It numbers its closings from 1, and the answer carries the number, so that
// a late answer does not count for a later closing.
struct close_queue {
  backend_id backend;
  std::uint64_t closing;
  bool only_if_idle;
};
// An open backend has another number of units.
struct units_changed {
  backend_id backend;
  std::uint32_t units;
};
// The backend has ended.
struct backend_removed {
  backend_id backend;
};
// The backend cannot serve; the queue refuses tickets for this time unless another backend can.
struct refuse_waiting {
  backend_id backend;
  refusal why;
  double retry_after_s;
  std::string detail;
  // It refuses until open_queue instead, and spares tickets of clients who said how long they wait.
  bool until_ready = false;
};
// The backend's load time; sent on change, and used for demand, ETA and Retry-After.
struct load_estimated {
  backend_id backend;
  duration expected_load;
  time_point ready_at = never;  // end of the load that runs or is due; never: not known
};

// The model_queue must give back its requests in flight of this class. Each one that can be sent
// again is cancelled at its backend and waits again, under a new ticket; it loses no attempt.
struct preempt_class {
  work_class work;
};

// The backend's number at the lease pool, under which the queue reports demand.
struct holder_known {
  backend_id backend;
  holder_id holder;
};

// Messages between a lease holder and gpu_lease, and of a model_queue to gpu_lease

// Makes the sender a holder.
struct register_holder {
  std::string name;  // for people: the name of the model, the run or the program
  holder_kind kind;
};
// The answer to register_holder.
struct holder_registered {
  holder_id holder;
};
// Asks for a lease.
struct acquire_lease {
  scheduling::lease_request request;
};
// Takes the request back.
struct withdraw_acquire {
  holder_id holder;
};
// A registered holder has this memory since before the pool's start. The answer is lease_granted,
// or lease_refused when the memory cannot be its own.
struct adopt_lease {
  scheduling::lease_request request;
  scheduling::gpu_set gpus;
};
// The pool grants nothing until resume_grants: memory that is in use is still to be adopted.
struct hold_grants {};
struct resume_grants {};
// Gives the lease back.
struct release_lease {
  holder_id holder;
  fencing_token token;
};
// The answer to acquire_lease when there is room.
struct lease_granted {
  fencing_token token;
  scheduling::gpu_set gpus;
};
// The answer to acquire_lease when it can never be granted.
struct lease_refused {
  refusal why;
};
// Asks a holder for its lease back.
struct lease_asked_back {
  fencing_token token;
  bool by_order = false;  // an operator's: the holder stays away until somebody asks for it
};
// Reports the work that a holder has.
struct demand_reported {
  holder_id holder;
  scheduling::holder_demand demand;
};

// Messages between outside_leases and those who ask it, and to its holders

// A program that is not ours asks for a lease.
struct submit_lease {
  scheduling::outside_request request;  // without `process`
  std::int64_t pid = 0;                 // the holder's process, as this machine numbers it; 0: none
  duration wait{};                      // how long the answer may wait for the grant
};
// Asks about a lease, and waits while it waits.
struct find_lease {
  std::string id;
  scheduling::lease_viewer who;
  duration wait{};
};
struct renew_lease {
  std::string id;
  scheduling::lease_viewer who;
  fencing_token token;
};
// Ends a lease, whatever its state.
struct end_lease {
  std::string id;
  scheduling::lease_viewer who;
};
// The answer to these.
struct lease_answer {
  scheduling::outside_verdict verdict = scheduling::outside_verdict::done;
  bool has_no_such_process = false;  // the verdict does not matter: the pid names none
  std::optional<scheduling::outside_view> lease = {};  // when it is done
};
struct list_leases {
  scheduling::lease_viewer who;
};
// The answer to list_leases, in the order of the requests.
struct lease_list {
  std::vector<scheduling::outside_view> leases;
};
// What the pool told the holder of an outside lease.
struct outside_holder_told {
  std::string id;
  std::variant<holder_registered, lease_granted, lease_refused, lease_asked_back> what;
};
// Writes the file of leases; the answer is whether it is durable.
struct write_leases {
  std::vector<scheduling::outside_record> records;
};

// Messages to stores

// Asks for the newest crashes, newest first.
struct list_crashes {
  std::uint32_t limit;  // at most 1000
};
// The answer to list_crashes.
struct crash_list {
  std::vector<crash_record> crashes;
};

// Orders of an operator to a backend

// Starts the backend, whoever waits for it. Answered by order_report when it is ready or the start
// has failed, which the model's timeouts bound.
struct order_start {
  bool is_switch = false;  // others give way, whatever they do; as in lease_request
};
// Stops the backend. Answered by order_report when its process tree is gone.
struct order_stop {
  bool graceful;  // requests in flight may end first, for up to the model's drain timeout
};
// How an order ended. overruled: by a later order, or by a change of the model.
enum class order_end : std::uint8_t { done, failed, no_room, overruled };
struct order_report {
  order_end how;
  std::string why;  // for people, with what to do; empty when it is done
};

// Messages to several actors

struct stop_all {};        // begins an orderly shutdown
struct stop_when_idle {};  // the same, once no request waits or is in flight
struct tick {};            // an actor's delayed message to itself

// Questions of HTTP routes

struct get_queue_stats {};
// The answer to get_queue_stats, with the fields of the llm_balancer of seed 001.
struct queue_stats {
  std::string model;
  std::uint32_t processing, waiting, max_concurrent, max_waiting;
  std::uint64_t total_processed, total_failed, total_timeout;
};

}  // namespace signalbox
