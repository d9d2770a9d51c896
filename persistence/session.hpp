// What a database hands out. A struct of our own, because pqxx::connection is a class in libpqxx 7
// but an alias of a template in 6.4, so that a header cannot declare it ahead.
#pragma once

#include <pqxx/pqxx>
#include <string>

namespace signalbox::persistence {

struct session {
  pqxx::connection connection;

  explicit session(const std::string& url) : connection(url) {}
};

// Waits for the lock 2 s at most, as for any other in this transaction: whoever asked has given up
// after that. Throws database_unavailable when it was not to be had.
void lock_table(pqxx::work& tx, const char* statement);

}  // namespace signalbox::persistence
