#include "http/serve/client_connections_of.hpp"

namespace signalbox::http {

std::unique_ptr<client_connections> make_plain_connections(shard& home, std::size_t index) {
  return std::make_unique<client_connections_of<polled_socket>>(home, index);
}

}  // namespace signalbox::http
