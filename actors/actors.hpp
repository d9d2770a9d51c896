// Every actor's interface, one line of comment for each message it takes. The messages themselves
// stand in actors/messages.hpp. All of them stay inside this process: they are marked unsafe for
// CAF, have no type ids and are never serialized.
#pragma once

#include <caf/all.hpp>

#include "actors/messages.hpp"
#include "actors/model_table.hpp"

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::shard_attached)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::shard_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::ensure_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::queue_activity)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::queue_drained)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::queue_not_idle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::open_queue)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::close_queue)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::refuse_waiting)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::load_estimated)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::preempt_class)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::holder_known)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::register_holder)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::holder_registered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::acquire_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::withdraw_acquire)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::release_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::lease_granted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::lease_refused)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::yield_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::demand_reported)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::runtime_event)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::crash_record)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::list_crashes)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::crash_list)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::usage_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::flush_usage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::list_usage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::usage_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::list_key_usage)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::key_usage_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::missing_model_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::list_missing_models)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::missing_model_list)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::get_queue_stats)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::queue_stats)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::subscribe_keys)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::create_key)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::change_key)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::rotate_key)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::revoke_key)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::find_key)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::list_keys)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::key_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::save_limit_states)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::open_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::renew_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::session_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::check_password)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::password_checked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::stop_all)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::stop_when_idle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::units_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::tick)

namespace signalbox {

// Whoever holds a GPU lease, or wants one: a backend, a training run, an outside program.
using lease_holder_actor = caf::typed_actor<
    // Your number: what you ask for, you ask for under it.
    caf::reacts_to<holder_registered>,
    // The lease is yours until you release it, under this fencing token.
    caf::reacts_to<lease_granted>,
    // It will never fit.
    caf::reacts_to<lease_refused>,
    // Give it back, after a drain.
    caf::reacts_to<yield_lease>>;

// One for the machine: who holds which GPU memory (core: lease_arbiter).
using gpu_lease_actor = caf::typed_actor<
    // That actor is a holder until it ends; answered to it by holder_registered. When it ends, all
    // that it ran must be gone: its request and its lease end with it.
    caf::reacts_to<register_holder, lease_holder_actor>,
    // A holder wants room; answered by lease_granted or lease_refused, some time.
    caf::reacts_to<acquire_lease>,
    // Not wanted any more.
    caf::reacts_to<withdraw_acquire>,
    // The holder's process tree is seen gone.
    caf::reacts_to<release_lease>,
    // What the queue of a holder's model says of itself, on change.
    caf::reacts_to<demand_reported>,
    // Deadlines of the core.
    caf::reacts_to<tick>>;

// Keeps crashes of runtimes in PostgreSQL; while that is away, the newest 1000 in memory.
using crash_log_actor = caf::typed_actor<
    // A runtime crashed or failed to load.
    caf::reacts_to<crash_record>,
    // Newest first; from memory what is not written yet. Error when the database is away.
    caf::replies_to<list_crashes>::with<crash_list>,
    // Try again to write what is buffered.
    caf::reacts_to<tick>>;

// The part of a model_backend that its queue talks to.
using backend_control_actor = caf::typed_actor<
    // Somebody waits.
    caf::reacts_to<ensure_ready>,
    // When something was last in use, and whether anything waits; for the idle unload.
    caf::reacts_to<queue_activity>,
    // The queue gives this backend nothing more, and nothing is in flight (answer to close_queue,
    // some time).
    caf::reacts_to<queue_drained>,
    // The queue has work and goes on (answer to close_queue{only_if_idle}).
    caf::reacts_to<queue_not_idle>>;

// What the gateway keeps to for the model changed; its runtimes are not concerned.
struct model_changed {
  served_model_ptr model;
};

// A backend introduces itself to its queue, before anything else that it says. It is closed until
// open_queue.
struct backend_added {
  backend_id backend;
  backend_control_actor actor;
};

// The part of a model_queue that its backend commands.
using queue_control_actor = caf::typed_actor<
    // A backend serves this queue from now on.
    caf::reacts_to<backend_added>,
    // The backend is ready.
    caf::reacts_to<open_queue>,
    // The backend will stop; answered by queue_drained or queue_not_idle.
    caf::reacts_to<close_queue>,
    // Refuse all that wait, and what comes, until open_queue or the time has passed.
    caf::reacts_to<refuse_waiting>,
    // The open backend takes another number of requests at once.
    caf::reacts_to<units_changed>,
    // Fresh estimate of the load time.
    caf::reacts_to<load_estimated>,
    // Requests of this class in flight are to wait again.
    caf::reacts_to<preempt_class>,
    // The backend has registered with the lease pool; told again to a queue started anew.
    caf::reacts_to<holder_known>>;

// One for each backend: its lifecycle, and the driver's handle (core: model_lifecycle).
using model_backend_actor = lease_holder_actor::extend_with<backend_control_actor>::extend<
    // The queue that it serves; again after that was restarted: it is told how things stand.
    caf::reacts_to<queue_control_actor>,
    // Where crashes are kept; again after it was restarted.
    caf::reacts_to<crash_log_actor>,
    // From the driver.
    caf::reacts_to<runtime_event>,
    // Its options changed in what concerns no runtime.
    caf::reacts_to<model_changed>,
    // Serve until the queue has nothing, then as stop_all; when there is no ready runtime, at once.
    caf::reacts_to<stop_when_idle>,
    // Drain, stop the runtime, quit.
    caf::reacts_to<stop_all>,
    // Deadlines of the core.
    caf::reacts_to<tick>>;

// One for each model: who waits, who may send (core: admission).
using model_queue_actor = queue_control_actor::extend<
    // A backend ended.
    caf::reacts_to<backend_removed>,
    // Its limits changed.
    caf::reacts_to<model_changed>,
    // The lease pool to report demand to; again after it was restarted.
    caf::reacts_to<gpu_lease_actor>,
    // A shard introduces itself, at start and after queue_restarted.
    caf::reacts_to<shard_attached>,
    // Tickets, cancellations, returned units, settlements of one turn of a shard's loop.
    caf::reacts_to<shard_batch>,
    // For /admin/queue/{model}.
    caf::replies_to<get_queue_stats>::with<queue_stats>,
    // The gateway shuts down: refuse what waits with shutting_down.
    caf::reacts_to<stop_all>,
    // Deadlines of the core.
    caf::reacts_to<tick>>;

// Adds up usage and writes it in batches; while the database is away, in a bounded buffer. The same
// for names that no model has.
using usage_ledger_actor = caf::typed_actor<
    // From the shards, several times a second.
    caf::reacts_to<usage_batch>,
    // Write now; answered with true when everything taken so far is durable.
    caf::replies_to<flush_usage>::with<bool>,
    // What is written so far. Error when the database is away or slow, or nobody waits any more.
    caf::replies_to<list_usage>::with<usage_report>,
    caf::replies_to<list_key_usage>::with<key_usage_report>,
    // From the shards, as usage_batch.
    caf::reacts_to<missing_model_batch>,
    // From memory.
    caf::replies_to<list_missing_models>::with<missing_model_list>,
    // Time to write.
    caf::reacts_to<tick>>;

// Owns keys, users and their sessions in PostgreSQL. Whoever answers for keys hears of a change
// before it is answered, and within a second of those that somebody else makes.
using key_registry_actor = caf::typed_actor<
    // The only listener, from now on; true when it has heard everything, false when it will, as the
    // database is away.
    caf::replies_to<subscribe_keys>::with<bool>,
    // A new key; problem `exists` when its id or secret is taken.
    caf::replies_to<create_key>::with<key_answer>,
    // Other scopes, limits, names; `revoked` and the key when it is.
    caf::replies_to<change_key>::with<key_answer>,
    // A new secret; `revoked` as above.
    caf::replies_to<rotate_key>::with<key_answer>,
    // It works no more, for ever.
    caf::replies_to<revoke_key>::with<key_answer>, caf::replies_to<find_key>::with<key_answer>,
    // Newest first.
    caf::replies_to<list_keys>::with<key_answer>,
    // For the next start.
    caf::reacts_to<save_limit_states>,
    // A user has logged in; `refused` when that may not be any more.
    caf::replies_to<open_session>::with<session_answer>,
    // A refresh token for the next one.
    caf::replies_to<renew_session>::with<session_answer>,
    // Time to look for changes.
    caf::reacts_to<tick>>;

// Checks passwords, one at a time, and slows down who fails.
using login_guard_actor = caf::typed_actor<
    // Whether the password fits; asked at most as often as there are slots.
    caf::replies_to<check_password>::with<password_checked>>;

}  // namespace signalbox

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::lease_holder_actor)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::gpu_lease_actor)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::crash_log_actor)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::queue_control_actor)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::backend_control_actor)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::model_backend_actor)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::backend_added)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::model_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::backend_removed)
