// Brings the schema up to date: migrations/NNNN_what.sql, embedded in the binary, forward only.
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
  int applied;  // by this call
  int version;  // of the schema now
};

// One transaction for each migration, under an advisory lock, so that two starting gateways do not
// race. Throws std::runtime_error with a clear text when an applied one was edited since
// (checksum), when the database is newer than this binary, or when a statement fails (nothing of
// that migration stays). Throws database_unavailable when there is no database.
migration_report migrate(database& db,
                         const std::vector<migration>& migrations = embedded_migrations());

}  // namespace signalbox::persistence
