// Keys, users and their sessions, as actors, stores and access/ exchange them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "records/wall_time.hpp"
#include "scheduling/rate_limit.hpp"
#include "scheduling/types.hpp"

namespace signalbox {

using secret_digest = std::array<std::uint8_t, 32>;  // BLAKE2b-256

// A key as the database holds it: with digests of its secrets, never the secrets themselves.
struct key_record {
  std::string id;  // survives rotations; names the key in usage
  std::string name, owner;
  std::string hint;  // first characters of the secret
  secret_digest digest{};
  std::optional<secret_digest> old_digest;  // of the secret that the last rotation replaced
  wall_time old_until{};                    // the replaced secret works until then
  std::vector<std::string> scopes;
  std::vector<std::string> models;  // empty: all
  double weight = 1;                // fair share, above 0
  scheduling::key_limits limits;
  wall_time created_at{};
  std::optional<wall_time> expires_at, revoked_at;
  std::int64_t version = 0;  // grows with every change of any key
};

// The limit state of a key that is kept over a restart (scheduling::rate_limiter::full_at).
struct key_limit_state {
  std::string key_id;
  wall_time requests_full_at, tokens_full_at;
};
struct key_day_use {
  std::string key_id;
  std::int32_t date;  // days since 1970-01-01, UTC
  std::uint64_t tokens;
};

// A person who logs in with a password.
struct user_record {
  std::string name;
  std::string password_hash;  // Argon2id, with its parameters
  std::vector<std::string> scopes;
  bool disabled = false;
  // Only tokens of this generation are valid: disabling the user or setting a password starts a new
  // one.
  std::int64_t generation = 1;
  wall_time created_at{};
  std::int64_t version = 0;  // grows with every change of any user
};

// News for subscribers: first everything, then the changes.
struct keys_changed {
  std::vector<key_record> keys;
  std::vector<user_record> users;
  std::vector<key_limit_state> states;  // in the first news only
  std::vector<key_day_use> used_today;  // in the first news only; by the registry's wall clock
};
// Called on the thread of the registry. A registry that restarts sends everything again.
using key_listener = std::function<void(const keys_changed&)>;

struct subscribe_keys {
  key_listener listener;
};  // answered after the listener has received everything
struct create_key {
  key_record key;
  time_point give_up_at = time_point::max();  // as in open_session
};
// Applies `change` to the current key and saves the result, except secrets, id and times.
struct change_key {
  std::string id;
  std::function<void(key_record&)> change;
};
struct rotate_key {
  std::string id;
  secret_digest digest;
  std::string hint;
  double grace_s;                             // seconds for which the old secret still works
  time_point give_up_at = time_point::max();  // as in open_session
};
struct revoke_key {
  std::string id;
};
struct find_key {
  std::string id;
};
struct list_keys {
  std::uint32_t limit;  // at most 1000
  std::string after;    // id of the last key seen; empty: start with the newest
};
enum class key_problem : std::uint8_t { none, not_found, exists, revoked, database_away };
// Sent after all shards have the change.
struct key_answer {
  key_problem problem = key_problem::none;
  std::vector<key_record> keys;  // the one key, or the list
};
struct save_limit_states {
  std::vector<key_limit_state> states;
};

// users

// A refresh token; the database keeps its digest.
struct open_session {
  std::string user;
  std::int64_t generation;
  std::string session;   // id of the session; the same in all its refresh tokens
  secret_digest digest;  // of the session's current refresh token
  wall_time expires_at;
  time_point give_up_at = time_point::max();  // after this nobody waits for the answer
};
// Replaces the refresh token `used` by `next`. A token that is used a second time was stolen, or
// used by a thief first; the whole session then ends.
struct renew_session {
  secret_digest used;
  open_session next;
};
enum class session_problem : std::uint8_t { none, refused, reused, database_away };
struct session_answer {
  session_problem problem = session_problem::none;
};

struct check_password {
  std::string user, address, password;
  std::string hash;            // empty: no such user; the check takes as long
  std::shared_ptr<void> slot;  // held while the check waits, to bound their number
};
enum class password_verdict : std::uint8_t { right, wrong, too_often };
struct password_checked {
  password_verdict verdict = password_verdict::wrong;
  duration retry_after{};  // set for too_often
};

}  // namespace signalbox
