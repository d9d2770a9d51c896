// The listen addresses. Connections are accepted in one place, and each goes to the shard that has
// the fewest, so that all shards have as much to do: with a socket for each shard (SO_REUSEPORT)
// the kernel spreads them by chance.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace signalbox::http {

class acceptor;
class client_connections;
class gateway_state;
class shard;

class server {
 public:
  // Binds. Throws std::runtime_error that names the address. Call it before shard::run(). The
  // shards must outlive the server.
  server(gateway_state& gateway, const std::vector<std::unique_ptr<shard>>& shards,
         const std::vector<std::string>& listen);
  ~server();

  // Returns the addresses with their actual ports (port 0 in the configuration asks for any).
  const std::vector<std::string>& bound() const { return bound_; }

  void stop_accepting();  // returns at once; from any thread

 private:
  struct address;

  // Accepts on the loop of the first shard.
  const std::vector<std::unique_ptr<shard>>& shards_;
  std::vector<std::unique_ptr<address>> addresses_;
  std::vector<std::string> bound_;
};

}  // namespace signalbox::http
