// What a database hands out. A struct of our own, because pqxx::connection is a class in libpqxx 7
// but an alias of a template in 6.4, so that a header cannot declare it ahead.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <pqxx/pqxx>
#include <string>

#include "persistence/database.hpp"

namespace signalbox::persistence {

struct session {
  pqxx::connection connection;
  // The connection's socket once more, for another thread to shut down: this number is nobody
  // else's, even when libpq has just closed its own.
  const int wire;

  explicit session(const std::string& url)
      : connection(url), wire(::fcntl(connection.sock(), F_DUPFD_CLOEXEC, 0)) {}
  ~session() {
    if (wire >= 0) ::close(wire);
  }
  session(const session&) = delete;
  session& operator=(const session&) = delete;
};

// Waits for the lock 2 s at most, as for any other in this transaction: whoever asked has given up
// after that.
inline void lock_table(pqxx::work& tx, const char* statement) {
  tx.exec("SET LOCAL lock_timeout = '2s'");
  tx.exec(statement);
}

// Runs one SELECT in a transaction of its own. A caller that loops over many rows asks the result
// for the numbers of its columns first: libpqxx looks up a name anew for each row.
template <typename... Parameters>
pqxx::result read_rows(database& db, const std::string& statement,
                       const Parameters&... parameters) {
  pqxx::result rows;
  db.with_connection([&](session& session) {
    pqxx::read_transaction tx(session.connection);
    rows = tx.exec_params(statement, parameters...);
    tx.commit();
  });
  return rows;
}

}  // namespace signalbox::persistence
