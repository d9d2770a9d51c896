// All known keys (of the configuration and of the database) and all users. With every change the
// ring builds new tables for the shards to look into.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "access/authentication.hpp"
#include "records/keys.hpp"
#include "scheduling/day_clock.hpp"

namespace signalbox {

// A user as of the last change. Like a principal it is immutable and shares its account with later
// versions.
struct user_entry {
  std::string password_hash;
  std::vector<std::string> scopes;
  bool disabled = false;
  std::int64_t generation = 0;
  std::string key_id;  // "user:NAME": the user's name wherever a key id is expected
  scheduling::key_limits limits;
  std::shared_ptr<key_account> account;
};
using user_ptr = std::shared_ptr<const user_entry>;

// Returns what the user may do with a token of these scopes: the scopes that both have. The scope
// admin, of either, includes all others.
principal_ptr principal_of(const user_entry& user, const std::vector<std::string>& token_scopes,
                           wall_time expires_at);

class user_table {
 public:
  void set(const std::string& name, user_ptr user) { users_[name] = std::move(user); }
  user_ptr find(const std::string& name) const;  // null: no such user

 private:
  std::unordered_map<std::string, user_ptr> users_;
};
using user_table_ptr = std::shared_ptr<const user_table>;

class key_ring {
 public:
  // A configured key hides a database key with the same id or secret.
  explicit key_ring(const std::vector<key_record>& configured,
                    const scheduling::key_limits& user_limits = {});

  key_table_ptr table() const { return table_.load(); }
  user_table_ptr users() const { return users_.load(); }
  bool is_configured(const std::string& id) const { return configured_.contains(id); }
  // Makes a principal that no secret leads to (anonymous requests). Call it before the first
  // apply().
  principal_ptr make_principal(const key_record& key);
  // Call it on the thread of the key registry only.
  void apply(const keys_changed& news);
  // Returns the day that limits and usage count by. Thread-safe.
  scheduling::counted_day day(time_point now, wall_time wall);

 private:
  using secrets = std::vector<std::pair<secret_digest, principal_ptr>>;
  using known_keys = std::unordered_map<std::string, secrets>;  // by id

  std::shared_ptr<key_account> account_of(const std::string& id);
  secrets secrets_of(const key_record& key);
  user_ptr entry_of(const user_record& user);
  void apply_users(const std::vector<user_record>& users);
  void publish();

  known_keys configured_, stored_;
  std::unordered_map<std::string, std::shared_ptr<key_account>> accounts_;
  scheduling::key_limits user_limits_;
  std::atomic<key_table_ptr> table_;
  std::atomic<user_table_ptr> users_{std::make_shared<const user_table>()};
  std::mutex days_mutex_;
  scheduling::day_clock days_;
};

// Returns how far the limits of a principal are from full, as wall-clock times: these can be stored
// and still hold after a restart.
key_limit_state state_of(const principal& who);

}  // namespace signalbox
