// A connection of the pool. It is a struct of our own because pqxx::connection is a class in
// libpqxx 7 but an alias of a template in 6.4, so that a header cannot forward-declare it.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <pqxx/pqxx>
#include <string>

#include "persistence/database.hpp"

namespace signalbox::persistence {

struct session {
  pqxx::connection connection;
  // A duplicate of the connection's socket, for another thread to shut down: the number stays ours
  // even when libpq has just closed its own.
  const int wire;

  explicit session(const std::string& url)
      : connection(url), wire(::fcntl(connection.sock(), F_DUPFD_CLOEXEC, 0)) {}
  ~session() {
    if (wire >= 0) ::close(wire);
  }
  session(const session&) = delete;
  session& operator=(const session&) = delete;
};

// Locks the table. Waits at most 2 s for this and any later lock of the transaction: after that the
// caller has given up.
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
