// Stores keys and the states of their limits. Blocking; throws database_unavailable when the
// database is away. All statements are named and stand in key_store.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "persistence/database.hpp"
#include "records/keys.hpp"

namespace signalbox::persistence {

class key_store {
 public:
  explicit key_store(database& db) : db_(db) {}

  // Returns false and adds none when one of the ids or secrets is taken.
  bool add(const std::vector<key_record>& keys);
  // Updates everything but secrets and times. Returns false when there is no such key.
  bool update(const key_record& key);
  // Replaces the secret. The old one works for `grace_s` more seconds, one that is older stops
  // working at once. Returns false when there is no such key or it is revoked.
  bool rotate(const rotate_key& order);
  bool revoke(const std::string& id);  // false: no such key

  std::optional<key_record> find(const std::string& id);
  std::vector<key_record> find_all(const std::vector<std::string>& ids);  // skips unknown ids
  std::vector<key_record> newest(std::uint32_t limit, const std::string& after);
  // Returns at most `limit` keys with a version above `version`, in ascending order of versions.
  std::vector<key_record> changed_since(std::int64_t version, std::uint32_t limit);

  void save_states(const std::vector<key_limit_state>& states);
  std::vector<key_limit_state> states();  // of the limits that are not full yet
  std::vector<key_day_use> used_on(std::int32_t date);

 private:
  database& db_;
};

}  // namespace signalbox::persistence
