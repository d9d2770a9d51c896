#include "http/serve/server.hpp"

#include <exception>
#include <stdexcept>

#include "config/address.hpp"
#include "http/serve/listener.hpp"

namespace signalbox::http {

server::server(shard& home, const std::vector<std::string>& listen) {
  for (std::size_t i = 0; i < listen.size(); ++i) {
    const auto at = config::parse_listen(listen[i]);
    if (!at) throw std::runtime_error("not an address: " + listen[i]);
    try {
      listeners_.push_back(at->is_tls ? listen_tls(home, i, *at) : listen_plain(home, i, *at));
    } catch (const std::exception& e) {
      throw std::runtime_error("cannot listen on " + listen[i] + ": " + e.what());
    }
    bound_.push_back(config::to_string(listeners_.back()->bound()));
  }
}

server::~server() = default;

void server::stop_accepting() {
  for (auto& one : listeners_) one->stop_accepting();
}

}  // namespace signalbox::http
