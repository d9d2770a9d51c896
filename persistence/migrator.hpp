// Brings the schema up to date. The migrations (migrations/NNNN_what.sql) are embedded in the
// binary and go forward only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "persistence/database.hpp"

namespace signalbox::persistence {

struct migration {
  int number;             // from the file's name, consecutive from 1
  std::string_view name;  // "0001_crashes_and_usage.sql"
  std::string_view sql;
};

const std::vector<migration>& embedded_migrations();

struct migration_report {
  int applied;  // migrations applied by this call
  int version;  // schema version now
};

// Runs each migration in a transaction of its own, under an advisory lock, so that two starting
// gateways do not race. Throws std::runtime_error when an applied migration was edited since (by
// checksum), when the database is newer than this binary, or when a statement fails (its migration
// is rolled back). Throws database_unavailable when there is no database.
migration_report migrate(database& db,
                         const std::vector<migration>& migrations = embedded_migrations());

}  // namespace signalbox::persistence
