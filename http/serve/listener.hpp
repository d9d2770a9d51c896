// One listen address of one shard: a RESTinio server, plain or with TLS.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "config/address.hpp"

namespace signalbox::http {

class shard;

class listener {
 public:
  virtual ~listener() = default;
  virtual void stop_accepting() = 0;  // on the shard's thread
  const config::address& bound() const { return bound_; }

 protected:
  config::address bound_;  // with the actual port if any was asked for
};

// Make a listener and bind it (SO_REUSEPORT). They throw what Asio throws. `index` tells the
// addresses of a shard apart. Each has a source file of its own, because RESTinio's server takes
// longest to compile.
std::unique_ptr<listener> listen_plain(shard& home, std::size_t index, const config::address& at);
std::unique_ptr<listener> listen_tls(shard& home, std::size_t index, const config::address& at);

}  // namespace signalbox::http
