// The connections of one listen address that one shard serves: RESTinio's, plain or with TLS.
#pragma once

#include <cstddef>
#include <memory>

#include "http/serve/acceptor.hpp"

namespace signalbox::http {

class shard;

class client_connections {
 public:
  virtual ~client_connections() = default;
  // Begins to serve it. Call it on the shard's thread. Throws what Asio throws: it is dropped then.
  virtual void begin(accepted_connection made) = 0;
};

// Begins to serve it on the shard's thread, and throws nothing. The log has why a connection had to
// be dropped: that its client is gone already is no error.
void begin_or_drop(client_connections& served, accepted_connection made);

// `index` tells the addresses of a shard apart. Each has a source file of its own, because
// RESTinio's connection takes longest to compile.
std::unique_ptr<client_connections> make_plain_connections(shard& home, std::size_t index);
std::unique_ptr<client_connections> make_tls_connections(shard& home, std::size_t index);

}  // namespace signalbox::http
