#include "persistence/user_store.hpp"

#include "persistence/columns.hpp"
#include "persistence/crypto.hpp"
#include "persistence/session.hpp"
#include "text/utf8.hpp"

namespace signalbox::persistence {

namespace {

// Writers take turns, so that versions are committed in ascending order, and that no session begins
// while the sessions of its user are being ended.
constexpr const char* lock_users = "LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE";

constexpr const char* insert_user =
    "INSERT INTO users (name, password_hash, scopes, version)"
    " VALUES ($1, $2, $3::text[], nextval('user_versions')) ON CONFLICT DO NOTHING";

constexpr const char* update_user_scopes =
    "UPDATE users SET scopes = $2::text[], version = nextval('user_versions') WHERE name = $1";

constexpr const char* update_password =
    "UPDATE users SET password_hash = $2, generation = generation + 1,"
    " version = nextval('user_versions') WHERE name = $1";

constexpr const char* disable_user =
    "UPDATE users SET disabled = true, generation = generation + 1,"
    " version = nextval('user_versions') WHERE name = $1";

constexpr const char* enable_user =
    "UPDATE users SET disabled = false, version = nextval('user_versions') WHERE name = $1";

constexpr const char* delete_sessions = "DELETE FROM sessions WHERE user_name = $1";

const std::string select_users =
    "SELECT name, password_hash, array_to_string(scopes, E'\\n') AS scopes, disabled, "
    "generation, " +
    microseconds("created_at") + ", version FROM users ";

const std::string select_user = select_users + "WHERE name = $1";
const std::string select_changed_users =
    select_users + "WHERE version > $1 ORDER BY version LIMIT $2";

// Each login adds one session and deletes up to 100 expired ones, so none has to delete many.
constexpr const char* delete_expired =
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < now()"
    " ORDER BY expires_at LIMIT 100)";

// A user keeps 1000 sessions at most; those that expire first are deleted.
constexpr const char* delete_surplus =
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions"
    " WHERE user_name = $1 ORDER BY expires_at DESC OFFSET 1000)";

// Inserts nothing when the user is disabled or the generation has changed.
constexpr const char* insert_session =
    "INSERT INTO sessions (id, user_name, digest, expires_at)"
    " SELECT $3, name, decode($4, 'hex'),"
    " timestamptz 'epoch' + $5::bigint * interval '1 microsecond'"
    " FROM users WHERE name = $1 AND generation = $2 AND NOT disabled";

constexpr const char* renew_one =
    "UPDATE sessions SET digest = decode($4, 'hex'),"
    " expires_at = timestamptz 'epoch' + $5::bigint * interval '1 microsecond'"
    " FROM users WHERE id = $3 AND user_name = $1 AND digest = decode($6, 'hex')"
    " AND expires_at > now()"
    " AND users.name = user_name AND generation = $2 AND NOT disabled";

constexpr const char* delete_reused =
    "DELETE FROM sessions WHERE id = $1 AND user_name = $2 AND digest <> decode($3, 'hex')";

user_record to_user(const pqxx::row& row) {
  user_record user;
  user.name = row["name"].as<std::string>();
  user.password_hash = row["password_hash"].as<std::string>();
  user.scopes = to_lines(row["scopes"].as<std::string>());
  user.disabled = row["disabled"].as<bool>();
  user.generation = row["generation"].as<std::int64_t>();
  user.created_at = to_time(row["created_at_us"].as<std::int64_t>());
  user.version = row["version"].as<std::int64_t>();
  return user;
}

// Runs `work` in a transaction without other writers; commits when it returns true.
template <typename Work>
void write_alone(database& db, Work work) {
  db.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    lock_table(tx, lock_users);
    if (work(tx)) tx.commit();
  });
}

// Runs a statement that changes one user, and ends all sessions of the user if asked.
template <typename... Parameters>
bool change_user(database& db, bool ends_sessions, const char* statement, const std::string& name,
                 const Parameters&... parameters) {
  bool changed = false;
  write_alone(db, [&](pqxx::work& tx) {
    changed = tx.exec_params(statement, name, parameters...).affected_rows() == 1;
    if (changed && ends_sessions) tx.exec_params(delete_sessions, name);
    return changed;
  });
  return changed;
}

}  // namespace

bool user_store::add(const user_record& user) {
  bool added = false;
  write_alone(db_, [&](pqxx::work& tx) {
    const pqxx::result inserted = tx.exec_params(insert_user, clean_text(user.name, max_name_bytes),
                                                 user.password_hash, to_array(user.scopes));
    return added = inserted.affected_rows() == 1;
  });
  return added;
}

bool user_store::set_scopes(const std::string& name, const std::vector<std::string>& scopes) {
  return change_user(db_, false, update_user_scopes, clean_text(name, max_name_bytes),
                     to_array(scopes));
}

bool user_store::set_password(const std::string& name, const std::string& hash) {
  return change_user(db_, true, update_password, clean_text(name, max_name_bytes), hash);
}

bool user_store::disable(const std::string& name) {
  return change_user(db_, true, disable_user, clean_text(name, max_name_bytes));
}

bool user_store::enable(const std::string& name) {
  return change_user(db_, false, enable_user, clean_text(name, max_name_bytes));
}

std::optional<user_record> user_store::find(const std::string& name) {
  const auto rows = read_rows(db_, select_user, clean_text(name, max_name_bytes));
  return rows.empty() ? std::nullopt : std::optional(to_user(rows[0]));
}

std::vector<user_record> user_store::changed_since(std::int64_t version, std::uint32_t limit) {
  std::vector<user_record> users;
  for (const auto& row : read_rows(db_, select_changed_users, version, limit)) {
    users.push_back(to_user(row));
  }
  return users;
}

session_problem user_store::open(const open_session& order) {
  bool opened = false;
  write_alone(db_, [&](pqxx::work& tx) {
    tx.exec(delete_expired);
    const auto inserted =
        tx.exec_params(insert_session, order.user, order.generation, order.session,
                       to_hex(order.digest), to_microseconds(order.expires_at));
    opened = inserted.affected_rows() == 1;
    if (opened) tx.exec_params(delete_surplus, order.user);
    return opened;
  });
  return opened ? session_problem::none : session_problem::refused;
}

session_problem user_store::renew(const renew_session& order) {
  auto problem = session_problem::refused;
  write_alone(db_, [&](pqxx::work& tx) {
    const auto& next = order.next;
    const auto used = to_hex(order.used);
    const auto renewed =
        tx.exec_params(renew_one, next.user, next.generation, next.session, to_hex(next.digest),
                       to_microseconds(next.expires_at), used);
    if (renewed.affected_rows() == 1) {
      problem = session_problem::none;
    } else {
      const auto deleted = tx.exec_params(delete_reused, next.session, next.user, used);
      problem = deleted.affected_rows() > 0 ? session_problem::reused : session_problem::refused;
    }
    return true;
  });
  return problem;
}

}  // namespace signalbox::persistence
