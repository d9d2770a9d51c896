// Keys and the states of their limits. Blocking; throws database_unavailable when the database is
// away. Every statement has a name and stands in key_store.cpp.
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

  // False, and none added, when one of the ids or secrets is taken.
  bool add(const std::vector<key_record>& keys);
  // All but secrets and times. False when there is no such key.
  bool update(const key_record& key);
  // The old secret works for `grace_s` more; one that still did from before does not. False when
  // there is no such key or it is revoked.
  bool rotate(const rotate_key& order);
  bool revoke(const std::string& id);  // false: no such key

  std::optional<key_record> find(const std::string& id);
  std::vector<key_record> find_all(const std::vector<std::string>& ids);  // those that there are
  std::vector<key_record> newest(std::uint32_t limit, const std::string& after);
  // In the order of their versions, which are all greater; at most `limit`.
  std::vector<key_record> changed_since(std::int64_t version, std::uint32_t limit);

  void save_states(const std::vector<key_limit_state>& states);
  std::vector<key_limit_state> states();  // of limits that are not full yet
  std::vector<key_day_use> used_today();

 private:
  database& db_;
};

}  // namespace signalbox::persistence
