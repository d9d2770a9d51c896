// The interfaces of all actors, with a comment for each message that an actor takes. The messages
// are declared in actors/messages.hpp. They never leave this process: they are marked unsafe for
// CAF, have no type ids and are never serialized.
#pragma once

#include <caf/all.hpp>

#include "actors/messages.hpp"
#include "actors/model_table.hpp"

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::shard_attached)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::shard_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::ensure_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::queue_activity)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::keep_loaded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::runtime_signs)
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
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::adopt_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::hold_grants)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::resume_grants)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::release_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::lease_granted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::lease_refused)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::lease_asked_back)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::demand_reported)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::submit_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::find_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::renew_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::end_lease)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::lease_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::list_leases)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::lease_list)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::outside_holder_told)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::write_leases)
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
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::order_start)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::order_stop)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::order_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::stop_all)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::stop_when_idle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::units_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(signalbox::tick)

namespace signalbox {

// The interface of a holder: an actor that has a GPU lease or wants one.
using lease_holder_actor = caf::typed_actor<
    // The pool gives the holder its number, which its later requests carry.
    caf::reacts_to<holder_registered>,
    // The holder has the lease under this fencing token until it releases it.
    caf::reacts_to<lease_granted>,
    // The request can never be granted.
    caf::reacts_to<lease_refused>,
    // The holder must drain and then release its lease.
    caf::reacts_to<lease_asked_back>>;

// The lease pool, one for the machine. It decides who holds which GPU memory (core: lease_arbiter).
using gpu_lease_actor = caf::typed_actor<
    // The actor is a holder from now on until it ends; the answer to it is holder_registered. All
    // that it ran must be gone when it ends, because its request and its lease end with it.
    caf::reacts_to<register_holder, lease_holder_actor>,
    // A holder asks for memory; lease_granted or lease_refused answers it, perhaps much later.
    caf::reacts_to<acquire_lease>,
    // A holder takes its request back.
    caf::reacts_to<withdraw_acquire>,
    // A registered holder has memory from before the pool's start, and gets a lease of it.
    caf::reacts_to<adopt_lease>,
    // Requests wait from now on, until the second one: memory may still be adopted.
    caf::reacts_to<hold_grants>, caf::reacts_to<resume_grants>,
    // A holder gives its lease back; its process tree is gone.
    caf::reacts_to<release_lease>,
    // The queue of a holder's model reports its work, on change.
    caf::reacts_to<demand_reported>,
    // A deadline of the core may have come.
    caf::reacts_to<tick>>;

// The leases of programs that we did not start (core: outside_leases). The machine has one.
using outside_leases_actor = caf::typed_actor<
    // A program asks for a lease. The answer comes when it is granted, or when the wait is over.
    caf::replies_to<submit_lease>::with<lease_answer>,
    // Asks about one lease; the answer comes as above.
    caf::replies_to<find_lease>::with<lease_answer>,
    // The holder goes on.
    caf::replies_to<renew_lease>::with<lease_answer>,
    // The holder needs the lease no more. The answer waits a second at most for the lease's end.
    caf::replies_to<end_lease>::with<lease_answer>,
    // Lists those that have not ended.
    caf::replies_to<list_leases>::with<lease_list>,
    // The lease pool, which holds its grants until it hears what is adopted; it is sent again after
    // a restart.
    caf::reacts_to<gpu_lease_actor>,
    // The pool's answer for one lease.
    caf::reacts_to<outside_holder_told>,
    // A deadline of the core or of an answer may have come.
    caf::reacts_to<tick>>;

// Writes the file of leases, on a thread of its own.
using lease_writer_actor = caf::typed_actor<caf::replies_to<write_leases>::with<bool>>;

// Keeps crashes of runtimes in PostgreSQL. While the database is away, it keeps the newest 1000 in
// memory.
using crash_log_actor = caf::typed_actor<
    // A runtime crashed or failed to load.
    caf::reacts_to<crash_record>,
    // Lists crashes, newest first, with those not written yet. An error if the database is away.
    caf::replies_to<list_crashes>::with<crash_list>,
    // It is time to write the buffered crashes again.
    caf::reacts_to<tick>>;

// The part of a model_backend that its queue talks to.
using backend_control_actor = caf::typed_actor<
    // A request waits for the backend.
    caf::reacts_to<ensure_ready>,
    // The queue reports its last activity, and whether a request waits; idle unload needs both.
    caf::reacts_to<queue_activity>,
    // A request said when the backend is to be unloaded, in place of the configuration.
    caf::reacts_to<keep_loaded>,
    // Requests noticed something of the backend's runtime, and it may have to be checked.
    caf::reacts_to<runtime_signs>,
    // The queue sends this backend no more requests, and none is in flight. It answers close_queue,
    // perhaps much later.
    caf::reacts_to<queue_drained>,
    // The queue has work and stays open. It answers close_queue{only_if_idle}.
    caf::reacts_to<queue_not_idle>>;

// Options of a model changed that its runtimes need not know, such as limits and timeouts. Sent to
// its queue and its backends.
struct model_changed {
  served_model_ptr model;
};

// A backend introduces itself to its queue with this, its first message. It is closed until
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
    // The queue refuses waiting and new tickets, until open_queue or until the time has passed.
    caf::reacts_to<refuse_waiting>,
    // The open backend serves another number of requests at once from now on.
    caf::reacts_to<units_changed>,
    // The backend has a new estimate of its load time.
    caf::reacts_to<load_estimated>,
    // Requests of this class that are in flight must wait again.
    caf::reacts_to<preempt_class>,
    // The backend's number at the lease pool. A queue that starts anew is told again.
    caf::reacts_to<holder_known>>;

// Starts and stops one backend and owns its runtime (core: model_lifecycle). Each backend has one.
using model_backend_actor = lease_holder_actor::extend_with<backend_control_actor>::extend<
    // The queue that the backend serves. It is sent again after the queue's restart, and the
    // backend then tells the new queue its state.
    caf::reacts_to<queue_control_actor>,
    // The crash log; it is sent again after a restart.
    caf::reacts_to<crash_log_actor>,
    // The driver tells what happened to the runtime.
    caf::reacts_to<runtime_event>,
    // Options of the model changed that do not affect its runtime.
    caf::reacts_to<model_changed>,
    // An operator's orders; a reload that replaces the backend overrules them.
    caf::replies_to<order_start>::with<order_report>,
    caf::replies_to<order_stop>::with<order_report>,
    // The backend serves until its queue has no requests, and then does the same as at stop_all. It
    // does that at once if no runtime is ready.
    caf::reacts_to<stop_when_idle>,
    // The backend must drain, stop its runtime and end.
    caf::reacts_to<stop_all>,
    // A deadline of the core may have come.
    caf::reacts_to<tick>>;

// Decides which requests of one model wait and which may be sent (core: model_queue). Each model
// has one.
using model_queue_actor = queue_control_actor::extend<
    // A backend ended.
    caf::reacts_to<backend_removed>,
    // The limits of the model changed.
    caf::reacts_to<model_changed>,
    // The lease pool, which hears of demand; it is sent again after a restart.
    caf::reacts_to<gpu_lease_actor>,
    // A shard introduces itself at its start and after queue_restarted.
    caf::reacts_to<shard_attached>,
    // Tickets, cancellations, returned units and settlements of one turn of a shard's loop.
    caf::reacts_to<shard_batch>,
    // Answers /admin/queue/{model}.
    caf::replies_to<get_queue_stats>::with<queue_stats>,
    // The gateway shuts down: the queue refuses waiting and new tickets with shutting_down.
    caf::reacts_to<stop_all>,
    // A deadline of the core may have come.
    caf::reacts_to<tick>>;

// Adds up usage, and requests for names that no model has, and writes both to PostgreSQL in
// batches. While the database is away, they wait in a bounded buffer.
using usage_ledger_actor = caf::typed_actor<
    // The shards send their usage several times a second.
    caf::reacts_to<usage_batch>,
    // Writes now, and answers whether everything taken so far is durable.
    caf::replies_to<flush_usage>::with<bool>,
    // These two report what is written so far. An error if the database is away or slow, or if the
    // deadline of the question has passed.
    caf::replies_to<list_usage>::with<usage_report>,
    caf::replies_to<list_key_usage>::with<key_usage_report>,
    // The shards send names that no model has, as often as usage.
    caf::reacts_to<missing_model_batch>,
    // Lists these names, from memory.
    caf::replies_to<list_missing_models>::with<missing_model_list>,
    // It is time to write.
    caf::reacts_to<tick>>;

// Owns keys, users and their sessions in PostgreSQL. The listener hears of a change that this actor
// makes before its sender gets the answer, and of other programs' changes within a second.
using key_registry_actor = caf::typed_actor<
    // Sets the only listener. The answer is true when it has heard everything, and false when it
    // has to wait for that because the database is away.
    caf::replies_to<subscribe_keys>::with<bool>,
    // Adds a key; the problem is `exists` if its id or secret is taken.
    caf::replies_to<create_key>::with<key_answer>,
    // Changes scopes, limits or names. For a revoked key the problem is `revoked`, with the key.
    caf::replies_to<change_key>::with<key_answer>,
    // Gives the key a new secret; `revoked` as above.
    caf::replies_to<rotate_key>::with<key_answer>,
    // Ends the key for ever.
    caf::replies_to<revoke_key>::with<key_answer>, caf::replies_to<find_key>::with<key_answer>,
    // Lists keys, newest first.
    caf::replies_to<list_keys>::with<key_answer>,
    // Keeps the state of rate limits for the next start.
    caf::reacts_to<save_limit_states>,
    // Opens a session for a user who has logged in; `refused` if the user no longer may.
    caf::replies_to<open_session>::with<session_answer>,
    // Takes a refresh token and answers with the next one.
    caf::replies_to<renew_session>::with<session_answer>,
    // It is time to look for changes.
    caf::reacts_to<tick>>;

// Checks passwords, one at a time, and slows down accounts and addresses whose logins fail.
using login_guard_actor = caf::typed_actor<
    // Tells whether the password is right. At most as many questions are open as there are slots.
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
