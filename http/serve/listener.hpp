// One listen address of one shard: RESTinio's server for it, plain or with TLS.
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
  config::address bound_;  // with the port that was given, when any was asked for
};

// They bind (SO_REUSEPORT), and throw what Asio throws. `index` tells the shard's addresses apart.
// Each is a unit of its own: RESTinio's server is what takes longest to compile.
std::unique_ptr<listener> listen_plain(shard& home, std::size_t index, const config::address& at);
std::unique_ptr<listener> listen_tls(shard& home, std::size_t index, const config::address& at);

}  // namespace signalbox::http
