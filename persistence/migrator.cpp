#include "persistence/migrator.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <span>
#include <stdexcept>
#include <utility>

#include "persistence/crypto.hpp"
#include "persistence/session.hpp"

// Generated from migrations/*.sql by cmake/Embed.cmake.
namespace signalbox::persistence::sql {
extern const std::span<const std::pair<std::string_view, std::string_view>> files;
}

namespace signalbox::persistence {

namespace {

// All programs that migrate this schema take this lock. The number is arbitrary but must stay the
// same.
constexpr const char* take_lock =
    "SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = '10min';"
    "SELECT pg_advisory_xact_lock(7305519084214116)";

constexpr const char* create_table =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    " number integer PRIMARY KEY,"
    " name text NOT NULL,"
    " checksum text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now())";

constexpr const char* select_applied = "SELECT number, name, checksum FROM schema_migrations";

constexpr const char* insert_applied =
    "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)";

int number_of(std::string_view file) {
  int number = 0;
  std::from_chars(file.data(), file.data() + file.size(), number);
  return number;
}

void check_numbers(const std::vector<migration>& migrations) {
  for (std::size_t i = 0; i < migrations.size(); ++i) {
    if (migrations[i].number != static_cast<int>(i) + 1) {
      throw std::logic_error(fmt::format("migration {} is out of order: number {} expected",
                                         migrations[i].name, i + 1));
    }
  }
}

// Returns how many migrations are applied. Throws when these are not the first of `migrations`.
std::size_t count_applied(pqxx::work& tx, const std::vector<migration>& migrations) {
  const pqxx::result rows = tx.exec(select_applied);
  for (const auto& row : rows) {
    const auto number = row["number"].as<std::size_t>();
    const auto name = row["name"].as<std::string>();
    if (number == 0 || number > migrations.size()) {
      throw std::runtime_error(
          fmt::format("the database is newer than this program: it has {}, we know {} migrations",
                      name, migrations.size()));
    }
    if (row["checksum"].as<std::string>() != sha256_hex(migrations[number - 1].sql)) {
      throw std::runtime_error(
          fmt::format("migration {} was edited after it was applied (as {}): restore its text and "
                      "put the change into a new migration",
                      migrations[number - 1].name, name));
    }
  }
  return rows.size();
}

// Applies the next migration in one transaction. Returns false when none is left. Sets `current` to
// the current step, for error messages.
bool apply_next(session& db, const std::vector<migration>& migrations, std::string& current) {
  pqxx::work tx(db.connection);
  current = "the migration lock";
  tx.exec(take_lock);
  current = "the table of migrations";
  tx.exec(create_table);
  const std::size_t applied = count_applied(tx, migrations);
  const bool has_next = applied < migrations.size();
  if (has_next) {
    const migration& next = migrations[applied];
    current = fmt::format("migration {}", next.name);
    tx.exec(std::string(next.sql));
    tx.exec_params(insert_applied, next.number, std::string(next.name), sha256_hex(next.sql));
  }
  tx.commit();
  return has_next;
}

}  // namespace

const std::vector<migration>& embedded_migrations() {
  static const std::vector<migration> migrations = [] {
    std::vector<migration> all;
    for (const auto& [name, content] : sql::files) all.push_back({number_of(name), name, content});
    std::sort(all.begin(), all.end(),
              [](const migration& a, const migration& b) { return a.number < b.number; });
    return all;
  }();
  return migrations;
}

migration_report migrate(database& db, const std::vector<migration>& migrations) {
  check_numbers(migrations);
  migration_report report{0, static_cast<int>(migrations.size())};
  std::string current;
  try {
    db.with_connection([&](session& session) {
      while (apply_next(session, migrations, current)) {
        ++report.applied;
        spdlog::info("database: applied {}", current);
      }
    });
  } catch (const lock_not_granted& error) {
    throw std::runtime_error(fmt::format("{} was not free for 30 s: {}", current, error.what()));
  } catch (const pqxx::sql_error& error) {
    throw std::runtime_error(fmt::format("{} failed: {}", current, error.what()));
  }
  return report;
}

}  // namespace signalbox::persistence
