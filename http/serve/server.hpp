// The listen addresses of one shard, all on the shard's loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace signalbox::http {

class listener;
class shard;

class server {
 public:
  // Binds (SO_REUSEPORT: every shard listens on the same ports). Throws std::runtime_error that
  // names the address. Call it before shard::run().
  server(shard& home, const std::vector<std::string>& listen);
  ~server();

  // Returns the addresses with their actual ports (port 0 in the configuration asks for any).
  const std::vector<std::string>& bound() const { return bound_; }

  // Stops accepting connections. Call it on the thread of the shard.
  void stop_accepting();

 private:
  std::vector<std::unique_ptr<listener>> listeners_;
  std::vector<std::string> bound_;
};

}  // namespace signalbox::http
