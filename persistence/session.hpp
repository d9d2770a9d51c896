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

}  // namespace signalbox::persistence
