// A bounded pool of PostgreSQL connections that replaces broken ones. Blocking: used by detached
// actors and the command line only, never by a shard.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace signalbox::persistence {

// The database cannot be reached, cannot work for now (full, shutting down, overloaded), or the
// connection broke: try again later. Whether a transaction under way was committed is unknown, so
// only idempotent work may be retried.
class database_unavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The server is there but refuses us: the URL is wrong, or the database does not exist yet.
class database_refused : public database_unavailable {
 public:
  using database_unavailable::database_unavailable;
};

// Another session held a lock for longer than the statement waits. Nothing was done: try again
// later.
class lock_not_granted : public database_unavailable {
 public:
  using database_unavailable::database_unavailable;
};

struct session;  // persistence/session.hpp: a pqxx::connection

class database {
 public:
  // Takes a libpq connection string or URL (else throws std::invalid_argument). Connects when first
  // used, at most `pool_size` times. Each connection has a connect timeout (5 s) and a statement
  // timeout (30 s) unless the URL sets others.
  explicit database(std::string url, std::size_t pool_size = 4);
  ~database();

  // Runs `work` with a connection of the pool. Waits at most 5 s for a free one, and as long again
  // for a server that is just starting. Throws database_unavailable when it gets none
  // (database_refused when waiting will not help), when the connection breaks, and when a lock is
  // not granted (lock_not_granted); other exceptions of `work`, such as for a bad statement, pass
  // through.
  void with_connection(const std::function<void(session&)>& work);

  // Ends all use of the database, at the end of the program. Thread-safe. Calls that wait for the
  // server, and all later calls, throw database_unavailable at once.
  void close();

  void ping();  // throws database_unavailable

 private:
  struct pool;
  std::unique_ptr<pool> pool_;
};

}  // namespace signalbox::persistence
