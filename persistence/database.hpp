// PostgreSQL: a bounded pool of connections that mends itself. Blocking; used by detached actors
// and the command line only, never by a shard.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

namespace signalbox::persistence {

// The database cannot be reached, cannot do its work for now (full, shutting down, overloaded), or
// the connection broke: try again later. Whether a transaction under way was committed is unknown,
// so what is retried must be idempotent.
class database_unavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The server is there and does not let us in: the URL is wrong, or the database is yet to be made.
class database_refused : public database_unavailable {
 public:
  using database_unavailable::database_unavailable;
};

// Another session holds a lock for longer than the statement was to wait. The database is there,
// nothing was done: try again later.
class lock_not_granted : public database_unavailable {
 public:
  using database_unavailable::database_unavailable;
};

struct session;  // persistence/session.hpp: a pqxx::connection

class database {
 public:
  // `url`: a libpq connection string or URL (else std::invalid_argument).
  // Connects lazily; at most `pool_size` connections. Every connection gets a connect timeout (5 s)
  // and a statement timeout (30 s), unless the URL says otherwise.
  explicit database(std::string url, std::size_t pool_size = 4);
  ~database();

  // Runs `work` with a connection of the pool; waits at most 5 s for one to be free, and as long
  // again for a server that is just starting. A connection that broke is thrown away. Throws
  // database_unavailable when there is none to be had (database_refused, when waiting will not
  // help), it broke meanwhile or a lock was not granted (lock_not_granted); other exceptions of
  // `work` (a bad statement) pass through.
  void with_connection(const std::function<void(session&)>& work);

  // For the end of the program, from any thread: whoever waits for an answer of the server gets
  // database_unavailable at once, as does whoever asks for a connection from now on.
  void close();

  void ping();  // throws database_unavailable

 private:
  struct pool;
  std::unique_ptr<pool> pool_;
};

}  // namespace signalbox::persistence
