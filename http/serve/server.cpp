#include "http/serve/server.hpp"

#include <exception>
#include <stdexcept>
#include <utility>

#include "config/address.hpp"
#include "http/serve/acceptor.hpp"
#include "http/serve/client_connections.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/shard.hpp"

namespace signalbox::http {

struct server::address {
  address(gateway_state& gateway, const std::vector<std::unique_ptr<shard>>& all, std::size_t index,
          const config::address& at)
      : places(gateway.places()),
        shards(all),
        accepts(shards.front()->io(), at, places,
                {[this](accepted_connection made) { hand_over(std::move(made)); },
                 [&gateway] { gateway.meters().accept_failed(); }}) {
    const auto make = at.is_tls ? make_tls_connections : make_plain_connections;
    for (const auto& home : shards) connections.push_back(make(*home, index));
  }

  void hand_over(accepted_connection made) {
    const auto chosen = places.assign(made.place);
    auto& served = *connections[chosen];
    if (chosen == shards.front()->id()) return begin_or_drop(served, std::move(made));
    // A task is copied, which a connection cannot be.
    auto shared = std::make_shared<accepted_connection>(std::move(made));
    shards[chosen]->poster()([&served, shared] { begin_or_drop(served, std::move(*shared)); });
  }

  connection_places& places;
  const std::vector<std::unique_ptr<shard>>& shards;
  std::vector<std::unique_ptr<client_connections>> connections;  // by shard
  acceptor accepts;
};

server::server(gateway_state& gateway, const std::vector<std::unique_ptr<shard>>& shards,
               const std::vector<std::string>& listen)
    : shards_(shards) {
  for (std::size_t i = 0; i < listen.size(); ++i) {
    const auto at = config::parse_listen(listen[i]);
    if (!at) throw std::runtime_error("not an address: " + listen[i]);
    try {
      addresses_.push_back(std::make_unique<address>(gateway, shards, i, *at));
    } catch (const std::exception& e) {
      throw std::runtime_error("cannot listen on " + listen[i] + ": " + e.what());
    }
    bound_.push_back(config::to_string(addresses_.back()->accepts.bound()));
  }
}

server::~server() = default;

void server::stop_accepting() {
  shards_.front()->poster()([this] {
    for (auto& one : addresses_) one->accepts.stop();
  });
}

}  // namespace signalbox::http
