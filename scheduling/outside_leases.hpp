// The leases of programs that we did not start, from the request to the end. The machine has one
// such object, which the outside_leases actor owns. Who gets memory is decided by the
// lease_arbiter; this class decides how long an outside program may keep it.
//
//   waiting ── memory ──▶ granting ── saved ──▶ granted
//   granted ── released, TTL or yield_by over ──▶ ending
//   ending ── process gone, or the time for it over ──▶ returning ── saved ──▶ ended
//   waiting, granting ── nobody asks for the TTL, withdrawn ──▶ ended
//   waiting ── refused ──▶ ended
//
// Rules:
//   told: a grant is told only when the file of leases has it, so that no crash forgets it. Until
//     then the lease looks as if it waited.
//   dropped: a lease that waits, and that its owner has not asked about for its TTL, ends.
//   renewed: a granted lease lasts for its TTL from its grant and from each renewal. Only its own
//     token renews it; any other, and its own once it is ending, is stale.
//   yielded: a lease that is asked back must be released by yield_by, or ends then as if its TTL
//     were over.
//   returned: memory is given back when the holder's process is seen gone, if the holder named it.
//     Otherwise the holder's release is believed; without one it is given back release_grace later,
//     unverified. A process that outlives the TTL keeps the memory; one that outlives its own
//     release does so for release_grace.
//   forgotten: memory is given back when the file has forgotten the lease, so that no restart
//     brings back a lease whose memory somebody else had since. A file that cannot be written does
//     not keep the memory.
//   restored: a lease of the file lasts for its TTL from the restart; one that was ending goes on
//     with that.
// Every lease ends once, and an ended one is remembered for a while.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "scheduling/gpu_set.hpp"
#include "scheduling/types.hpp"

namespace signalbox::scheduling {

inline constexpr duration min_lease_ttl = std::chrono::seconds(5);
inline constexpr duration max_lease_ttl = std::chrono::hours(1);

// The bounds of all outside leases, and the times that the rules name.
struct outside_options {
  duration yield_grace = std::chrono::seconds(60);    // from asking a lease back to its yield_by
  duration release_grace = std::chrono::seconds(30);  // at least one look_gap
  duration look_gap = std::chrono::seconds(1);        // between two looks for a process
  duration retry_gap = std::chrono::seconds(1);       // after a file that could not be written
  duration memory_of_ends = std::chrono::minutes(10);
  std::uint32_t max_leases = 1000;  // that have not ended; of ended ones as many are remembered
  std::uint32_t max_leases_of_key = 100;
};

// A process, for ever: pids are used again, but not with the same start.
struct process_mark {
  std::int64_t pid = 0;
  std::uint64_t start_ticks = 0;  // since boot

  bool operator==(const process_mark&) const = default;
};

// What a program asks for.
struct outside_request {
  std::string id;      // unique for ever
  std::string key_id;  // of its owner
  std::string reason;  // for people
  work_class work = work_class::batch;
  gpu_need need;
  duration ttl = std::chrono::seconds(60);  // min_lease_ttl to max_lease_ttl
  std::optional<process_mark> process;      // the holder's; nothing: not named

  bool operator==(const outside_request&) const = default;
};

// A lease that has memory, as the file keeps it.
struct outside_record {
  outside_request request;
  fencing_token token = 0;
  gpu_set gpus;
  bool is_ending = false;

  bool operator==(const outside_record&) const = default;
};

enum class outside_state : std::uint8_t { waiting, granted, ending, ended };
std::string_view to_string(outside_state value);

// Why a lease is ending or has ended.
enum class lease_end : std::uint8_t {
  released,   // by its owner, or by an admin
  expired,    // it was not renewed
  unyielded,  // it was asked back and not released in time
  dropped,    // it waited, and its owner did not ask about it any more
  refused,    // the machine has not so much memory
  lost,       // its memory cannot be its own any more, as after a change of the GPUs
};
std::string_view to_string(lease_end value);

// A lease as its owner sees it.
struct outside_view {
  outside_request request;
  outside_state state = outside_state::waiting;
  fencing_token token = 0;        // 0 until it is granted
  gpu_set gpus;                   // empty until it is granted
  time_point expires_at = never;  // `never` unless it is granted
  time_point yield_by = never;    // `never`: it is not asked back
  std::optional<lease_end> end;   // nothing unless it is ending or has ended
};

// Who asks, and what that one may do.
struct lease_viewer {
  std::string key_id;
  bool sees_all = false;     // the leases of other keys, too
  bool changes_all = false;  // the same for changes; includes sees_all
};

enum class outside_verdict : std::uint8_t {
  done,
  unknown,          // there is no such lease, or not for this one to see
  not_owner,        // it may see the lease, but not change it
  stale_token,      // the token is not the lease's, or the lease is over
  too_many,         // max_leases
  too_many_of_key,  // max_leases_of_key
};

// Effects.

// The lease needs memory, from the pool.
struct request_memory {
  std::string id;
};
// The lease has had this memory since before our start. It comes before all request_memory.
struct adopt_memory {
  std::string id;
};
// The lease needs no memory any more; the pool has not granted any.
struct withdraw_request {
  std::string id;
};
// The pool gets the memory of the lease back. Unverified: it may still be in use.
struct return_memory {
  std::string id;
  bool is_verified;
};
// The file is to have records() as they are now, durably; saved() is the answer. No other
// save_leases comes before it.
struct save_leases {
  std::uint64_t change;
};
// The process that the holder named has to be looked for; process_seen() is the answer.
struct look_for_process {
  std::string id;
};
// Its view has another state; those who wait for it have to be told.
struct lease_moved {
  std::string id;
};
// It has ended, for the log; once for each lease.
struct lease_ended {
  std::string id;
  lease_end end;
  bool is_verified;  // as in return_memory
};
using outside_effect = std::variant<request_memory, adopt_memory, withdraw_request, return_memory,
                                    save_leases, look_for_process, lease_moved, lease_ended>;
using outside_effects = std::vector<outside_effect>;

struct outside_answer {
  outside_verdict verdict = outside_verdict::done;
  outside_effects effects;
};

// All outside leases of the machine.
class outside_leases {
 public:
  explicit outside_leases(outside_options options) : options_(options) {}

  // Takes the leases of the file; call it first. What is not valid or over the bounds is taken,
  // too: its memory is in use.
  outside_effects restore(const std::vector<outside_record>& records, time_point now);

  // Its owner waits for the grant until `asked_until`, or later asks about it.
  outside_answer submit(const outside_request& request, time_point asked_until, time_point now);
  // Tells whether the viewer may see the lease. When it is the owner, the lease is asked about
  // until `asked_until`.
  outside_answer ask(const std::string& id, const lease_viewer& who, time_point asked_until,
                     time_point now);
  outside_answer renew(const std::string& id, const lease_viewer& who, fencing_token token,
                       time_point now);
  // The holder needs the lease no more, and has stopped using its memory.
  outside_answer release(const std::string& id, const lease_viewer& who, time_point now);

  // The pool's answers. Those for a lease that does not wait for them are ignored, but for memory
  // that comes too late: it is returned.
  outside_effects memory_granted(const std::string& id, fencing_token token, const gpu_set& gpus,
                                 time_point now);
  outside_effects memory_refused(const std::string& id, time_point now);
  outside_effects asked_back(const std::string& id, time_point now);
  // The pool started anew and knows nothing.
  outside_effects pool_restarted() const;

  // The answer to save_leases.
  outside_effects saved(std::uint64_t change, bool is_durable, time_point now);
  outside_effects process_seen(const std::string& id, bool is_gone, time_point now);

  outside_effects advance(time_point now);
  time_point next_deadline() const;  // when to call advance(); `never`: not needed

  // What the file is to have.
  std::vector<outside_record> records() const;
  std::optional<outside_view> find(const std::string& id) const;
  // In the order of their requests, without those that have ended.
  std::vector<outside_view> list(const lease_viewer& who) const;
  // Of a lease that has memory now, whether or not that was told; else empty.
  gpu_set memory_of(const std::string& id) const;

 private:
  enum class phase : std::uint8_t { waiting, granting, granted, ending, returning, ended };
  struct lease {
    outside_request request;
    std::uint64_t number = 0;  // in the order of requests
    phase at = phase::waiting;
    fencing_token token = 0;
    gpu_set gpus;
    std::uint64_t change = 0;        // granting, returning: the file must have this one
    time_point asked_until{};        // waiting, granting: it is dropped a TTL later
    time_point expires_at = never;   // granted
    time_point yield_by = never;     // granting, granted, ending
    time_point given_up_at = never;  // ending: the memory is given back then at latest
    time_point look_at = never;      // ending, and restored: the next look for the process
    lease_end end = lease_end::released;
    bool is_verified = true;
    time_point forgotten_at = never;  // ended
  };
  using lease_map = std::map<std::string, lease>;

  static bool may_see(const lease& l, const lease_viewer& who);
  static outside_state state_of(const lease& l);
  static outside_view view_of(const lease& l);
  static bool has_memory(const lease& l) { return l.at != phase::waiting && l.at != phase::ended; }
  static time_point deadline_of(const lease& l);
  outside_answer changeable(const std::string& id, const lease_viewer& who) const;
  void note_change(lease& l) { l.change = ++last_change_; }
  void save(outside_effects& out);
  void begin_end(lease& l, lease_end why, outside_effects& out, time_point now);
  void begin_return(lease& l, bool is_verified, outside_effects& out);
  void finish(lease& l, outside_effects& out, time_point now);
  void end_waiting(lease& l, lease_end why, outside_effects& out, time_point now);
  void advance(lease& l, outside_effects& out, time_point now);
  void forget_ended(time_point now);

  outside_options options_;
  lease_map leases_;
  std::uint64_t last_number_ = 0;
  std::uint32_t open_ = 0;            // leases that have not ended
  std::uint64_t last_change_ = 0;     // of what the file is to have
  std::uint64_t saved_change_ = 0;    // the file has it
  std::uint64_t saving_change_ = 0;   // is being written; 0: none
  time_point save_again_at_ = never;  // after a failure
};

}  // namespace signalbox::scheduling
