// Stores users and their sessions. Blocking; throws database_unavailable when the database is away.
// All statements are named and stand in user_store.cpp.
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
  // These return false when there is no such user.
  bool set_scopes(const std::string& name, const std::vector<std::string>& scopes);
  // These also end all sessions of the user and invalidate all tokens.
  bool set_password(const std::string& name, const std::string& hash);
  bool disable(const std::string& name);

  bool enable(const std::string& name);

  std::optional<user_record> find(const std::string& name);
  // Returns at most `limit` users with a version above `version`, in ascending order of versions.
  std::vector<user_record> changed_since(std::int64_t version, std::uint32_t limit);

  session_problem open(const open_session& order);
  session_problem renew(const renew_session& order);

 private:
  database& db_;
};

}  // namespace signalbox::persistence
