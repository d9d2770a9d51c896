// Users and their sessions. Blocking; throws database_unavailable when the database is away.
// Every statement has a name and stands in user_store.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "persistence/database.hpp"
#include "records/keys.hpp"

namespace signalbox::persistence {

class user_store {
 public:
  explicit user_store(database& db) : db_(db) {}

  bool add(const user_record& user);  // false: the name is taken
  // False when there is no such user, as for the others.
  bool set_scopes(const std::string& name, const std::vector<std::string>& scopes);
  // These end all sessions of the user, and every token's worth.
  bool set_password(const std::string& name, const std::string& hash);
  bool disable(const std::string& name);

  bool enable(const std::string& name);

  std::optional<user_record> find(const std::string& name);
  // In the order of their versions, which are all greater; at most `limit`.
  std::vector<user_record> changed_since(std::int64_t version, std::uint32_t limit);

  session_problem open(const open_session& order);
  session_problem renew(const renew_session& order);

 private:
  database& db_;
};

}  // namespace signalbox::persistence
