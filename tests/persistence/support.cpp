#include "tests/persistence/support.hpp"

#include <stdlib.h>

#include <cerrno>
#include <system_error>

#include "persistence/cluster/private_cluster.hpp"
#include "persistence/session.hpp"

namespace signalbox::persistence::test {

namespace fs = std::filesystem;

namespace {

// Started by the first test that needs it, stopped at the end of the program.
struct shared_cluster {
  temporary_folder folder;
  private_cluster cluster{folder.path() / "data"};
  int databases = 0;
};

std::string make_database() {
  static shared_cluster shared;
  const std::string name = "test_" + std::to_string(++shared.databases);
  database admin(shared.cluster.url(), 1);
  admin.with_connection([&](session& session) {
    pqxx::nontransaction(session.connection).exec("CREATE DATABASE " + name);
  });
  return shared.cluster.url() + " dbname=" + name;
}

}  // namespace

temporary_folder::temporary_folder() {
  std::string name = (fs::temp_directory_path() / "signalbox-test-XXXXXX").string();
  if (!::mkdtemp(name.data())) throw std::system_error(errno, std::generic_category(), name);
  path_ = fs::canonical(name);
  fs::permissions(path_, fs::perms::others_read | fs::perms::others_exec, fs::perm_options::add);
}

temporary_folder::~temporary_folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fresh_database::fresh_database() : url(make_database()), db(url, 8) {}

secret_digest digest(std::uint8_t first, std::uint8_t second) {
  secret_digest made{};
  made[0] = first;
  made[1] = second;
  return made;
}

std::string query(database& db, const std::string& sql) {
  std::string value;
  db.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    const pqxx::result rows = tx.exec(sql);
    if (!rows.empty()) value = rows[0][0].c_str();
    tx.commit();
  });
  return value;
}

void execute(database& db, const std::string& sql) {
  query(db, sql);
}

void while_open(database& db, const std::string& sql, const std::function<void()>& work) {
  db.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    tx.exec(sql);
    work();
  });
}

}  // namespace signalbox::persistence::test
