// All keys that are known: those of the configuration and those of the database. It makes the table
// that shards look into, anew with every change.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/messages.hpp"
#include "http/authentication.hpp"

namespace signalbox::http {

class key_ring {
 public:
  // A key of the configuration hides one of the database that has its id or secret.
  explicit key_ring(const std::vector<key_record>& configured);

  key_table_ptr table() const { return table_.load(); }
  bool is_configured(const std::string& id) const { return configured_.contains(id); }
  // For who has no secret; before the first apply().
  principal_ptr make_principal(const key_record& key);
  // From the registry's thread.
  void apply(const keys_changed& news);

 private:
  using secrets = std::vector<std::pair<secret_digest, principal_ptr>>;
  using known_keys = std::unordered_map<std::string, secrets>;  // by id

  std::shared_ptr<key_account> account_of(const std::string& id);
  secrets secrets_of(const key_record& key);
  void publish();

  known_keys configured_, stored_;
  std::unordered_map<std::string, std::shared_ptr<key_account>> accounts_;
  std::atomic<key_table_ptr> table_;
};

// How far a limit is from full, in wall-clock time and back, for keeping it over a restart.
key_limit_state state_of(const principal& who);

}  // namespace signalbox::http
