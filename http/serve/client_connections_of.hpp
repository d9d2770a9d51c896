// RESTinio's connections over one type of socket, behind an acceptor of our own: RESTinio's stops
// for ever after a few errors. Included by plain_connections.cpp and tls_connections.cpp only.
#pragma once

#include <utility>

#include "http/serve/client_connections.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/guarded_socket.hpp"
#include "http/serve/request_parser.hpp"
#include "http/serve/routes.hpp"
#include "http/serve/shard.hpp"

namespace signalbox::http {

inline connection_key key_of(std::size_t address, restinio::connection_id_t id) {
  return (static_cast<connection_key>(address) << 48) | (id & 0xffff'ffff'ffff);
}

struct connection_observer {
  shard* home;
  std::size_t address;

  void state_changed(const restinio::connection_state::notice_t& notice) noexcept {
    const auto key = key_of(address, notice.connection_id());
    const auto cause = notice.cause();
    if (restinio::holds_alternative<restinio::connection_state::accepted_t>(cause)) {
      home->client_connected(key);
    } else {
      home->client_gone(key);
    }
  }
};

struct request_dispatcher {
  shard* home;
  std::size_t address;

  restinio::request_handling_status_t operator()(restinio::request_handle_t request) const {
    const auto key = key_of(address, request->connection_id());
    dispatch(*home, key, client_door::take_ended(), std::move(request));
    return restinio::request_accepted();
  }
};

template <typename Socket>
class client_connections_of final : public client_connections {
 public:
  client_connections_of(shard& home, std::size_t index)
      : index_(index), home_(home), connections_(make_factory(home, index)) {}

  void begin(accepted_connection made) override {
    auto door = std::make_shared<client_door>(home_, made.peer);
    const auto connection = connections_.create_new_connection(
        {Socket(home_.io(), std::move(made.descriptor), std::move(made.place)), door}, made.peer,
        lifetime{nullptr});
    door->begins(key_of(index_, connection->connection_id()),
                 guarded_socket<Socket>::may_half_close);
    connection->init();
  }

 private:
  struct traits : restinio::default_single_thread_traits_t {
    using request_handler_t = request_dispatcher;
    using stream_socket_t = guarded_socket<Socket>;
    using http_methods_mapper_t = door_methods;
    using timer_manager_t = restinio::null_timer_manager_t;  // the doors keep the deadlines
    using connection_state_listener_t = connection_observer;
  };

  using connection_factory = restinio::impl::connection_factory_t<traits>;
  using lifetime = typename connection_factory::lifetime_monitor_t;

  // These are above our own limits, whose answers say more.
  static restinio::incoming_http_msg_limits_t limits_of(const config::server_options& options) {
    return restinio::incoming_http_msg_limits_t{}
        .max_url_size(16 * 1024)
        .max_field_name_size(options.header_limit * 2)
        .max_field_value_size(options.header_limit * 2)
        .max_field_count(options.header_count_limit * 2);
  }

  static restinio::server_settings_t<traits> settings_for(shard& home, std::size_t index) {
    const auto& options = home.gateway().settings().server;
    restinio::server_settings_t<traits> settings;
    settings.request_handler(request_dispatcher{&home, index})
        .connection_state_listener(
            std::make_shared<connection_observer>(connection_observer{&home, index}))
        .incoming_http_msg_limits(limits_of(options))
        .max_pipelined_requests(1)  // a second one waits unread
        .buffer_size(8 * 1024)
        .socket_options_setter([](restinio::socket_options_t&) {});
    return settings;
  }

  // As restinio::http_server_t does it.
  static connection_factory make_factory(shard& home, std::size_t index) {
    auto settings = settings_for(home, index);
    auto timers = settings.timer_factory()->create(home.io());
    auto options = settings.socket_options_setter();
    return {std::make_shared<restinio::impl::connection_settings_t<traits>>(
                std::move(settings),
                restinio::impl::create_parser_settings<typename traits::http_methods_mapper_t>(),
                std::move(timers)),
            std::move(options)};
  }

  const std::size_t index_;
  shard& home_;
  connection_factory connections_;
};

}  // namespace signalbox::http
