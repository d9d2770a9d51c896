// A real PostgreSQL for the tests: one cluster for each program, one database for each test.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "actors/messages.hpp"
#include "persistence/database.hpp"
#include "persistence/migrator.hpp"

namespace signalbox::persistence::test {

// Removed at the end; everybody may enter it, also the user that PostgreSQL runs as.
class temporary_folder {
 public:
  temporary_folder();
  ~temporary_folder();
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// An empty database in the shared cluster; several connections may be made to it.
struct fresh_database {
  fresh_database();

  const std::string url;
  database db;
};

// The same with our tables, and one of the stores.
template <typename Store>
struct store_fixture : fresh_database {
  store_fixture() { migrate(db); }
  Store store{db};
};

secret_digest digest(std::uint8_t first, std::uint8_t second = 0);

// The first field of the first row, as text.
std::string query(database& db, const std::string& sql);
void execute(database& db, const std::string& sql);
// Does `work` while a transaction that has executed `sql` stays open.
void while_open(database& db, const std::string& sql, const std::function<void()>& work);

}  // namespace signalbox::persistence::test
