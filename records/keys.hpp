// Keys, users and their sessions, as they go between actors, stores and whoever checks them.
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

// A key as the database has it. Its secret is nowhere.
struct key_record {
  std::string id;  // stays through rotations; names the key in usage
  std::string name, owner;
  std::string hint;  // the secret's first characters
  secret_digest digest{};
  std::optional<secret_digest> old_digest;  // of the secret before the last rotation
  wall_time old_until{};                    // that one works until then
  std::vector<std::string> scopes;
  std::vector<std::string> models;  // empty: all
  double weight = 1;                // fair share, above 0
  scheduling::key_limits limits;
  wall_time created_at{};
  std::optional<wall_time> expires_at, revoked_at;
  std::int64_t version = 0;  // of the last change, over all keys
};

// What is kept of a key's limits over a restart (scheduling::rate_limiter::full_at).
struct key_limit_state {
  std::string key_id;
  wall_time requests_full_at, tokens_full_at;
};
struct key_day_use {
  std::string key_id;
  std::int32_t day;  // days since 1970-01-01, UTC
  std::uint64_t tokens;
};

// A person who logs in with a password.
struct user_record {
  std::string name;
  std::string password_hash;  // Argon2id, with its parameters
  std::vector<std::string> scopes;
  bool disabled = false;
  // Of the tokens that count: a new password, and disabling, make all earlier ones worthless.
  std::int64_t generation = 1;
  wall_time created_at{};
  std::int64_t version = 0;  // of the last change, over all users
};

// Told to who answers for keys: first everything, then what changed.
struct keys_changed {
  std::vector<key_record> keys;
  std::vector<user_record> users;
  std::vector<key_limit_state> states;  // with the first of them
  std::vector<key_day_use> used_today;
};
// Called from the registry's thread. Everything again after a restart of the registry.
using key_listener = std::function<void(const keys_changed&)>;

struct subscribe_keys {
  key_listener listener;
};  // answered when it has heard everything
struct create_key {
  key_record key;
  time_point give_up_at = time_point::max();  // as in open_session
};
// Done to the key as it is then; all but secrets, id and times is taken over.
struct change_key {
  std::string id;
  std::function<void(key_record&)> change;
};
struct rotate_key {
  std::string id;
  secret_digest digest;
  std::string hint;
  double grace_s;                             // how long the old secret works
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
  std::string after;    // an id; empty: from the newest on
};
enum class key_problem : std::uint8_t { none, not_found, exists, revoked, database_away };
// Published to all shards before it is answered.
struct key_answer {
  key_problem problem = key_problem::none;
  std::vector<key_record> keys;  // the one, or the list
};
struct save_limit_states {
  std::vector<key_limit_state> states;
};

// users

// A refresh token, as the database has it: by its digest.
struct open_session {
  std::string user;
  std::int64_t generation;
  std::string session;   // its id, which all of its refresh tokens name
  secret_digest digest;  // of its one refresh token
  wall_time expires_at;
  time_point give_up_at = time_point::max();  // nobody waits for an answer any longer
};
// `used` ends, and `next` takes its place. One that was used before has been stolen, or its thief
// was quicker: the whole session ends, all that came of one login.
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
  std::string hash;            // empty: there is no such user, which must take as long to find out
  std::shared_ptr<void> slot;  // held while this waits: bounds how many do
};
enum class password_verdict : std::uint8_t { right, wrong, too_often };
struct password_checked {
  password_verdict verdict = password_verdict::wrong;
  duration retry_after{};  // when it was too often
};

}  // namespace signalbox
