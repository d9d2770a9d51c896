// RESTinio's servers of one shard: one for each listen address, all on the shard's loop. The only
// unit that instantiates them is server.cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/shard.hpp"

namespace signalbox::http {

class server {
 public:
  // Binds (SO_REUSEPORT: every shard listens on the same ports); throws std::runtime_error that
  // names the address. Call before shard::run().
  server(shard& home, const std::vector<std::string>& listen);
  ~server();

  // The addresses with the ports that were bound (port 0 in the configuration asks for any).
  const std::vector<std::string>& bound() const;

  // No new connections. On the shard's thread.
  void stop_accepting();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace signalbox::http
