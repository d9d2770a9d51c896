#include "http/serve/listener_of.hpp"

namespace signalbox::http {

std::unique_ptr<listener> listen_tls(shard& home, std::size_t index, const config::address& at) {
  return std::make_unique<listener_of<tls_socket>>(home, index, at);
}

}  // namespace signalbox::http
