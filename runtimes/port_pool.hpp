// Free loopback ports for runtimes. They lie below the range that the kernel uses for outgoing
// connections, so that no such connection, of our own probes for example, takes the port between
// our choice and the runtime's bind.
#pragma once

#include <cstdint>
#include <set>

namespace signalbox::runtimes {

class port_pool {
 public:
  port_pool();

  std::uint16_t take();  // throws std::runtime_error when none is free
  void give_back(std::uint16_t port) { taken_.erase(port); }

 private:
  std::uint16_t first_;
  std::uint16_t count_;
  std::uint16_t next_;  // offset; starts at random, so that two gateways rarely collide
  std::set<std::uint16_t> taken_;
};

}  // namespace signalbox::runtimes
