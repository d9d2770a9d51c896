// RESTinio's server over one type of socket. Included by plain_listener.cpp and tls_listener.cpp
// only.
#pragma once

#include <restinio/http_server.hpp>

#include <chrono>
#include <string>
#include <utility>

#include "http/serve/gateway_state.hpp"
#include "http/serve/listener.hpp"
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
    dispatch(*home, key, std::move(request));
    return restinio::request_accepted();
  }
};

template <typename Socket>
class listener_of final : public listener {
 public:
  listener_of(shard& home, std::size_t index, const config::address& at)
      : server_(restinio::external_io_context(home.io()),
                [&](auto& settings) { configure(settings, home, index, at); }) {
    server_.open_sync();
  }

  void stop_accepting() override { server_.close_sync(); }

 private:
  struct traits : restinio::default_single_thread_traits_t {
    using request_handler_t = request_dispatcher;
    using stream_socket_t = Socket;
    using connection_state_listener_t = connection_observer;
    static constexpr bool use_connection_count_limiter = true;
  };

  // A body is buffered before its sender is authenticated, so the bound is hardly above what is
  // allowed.
  static constexpr std::uint64_t answered_excess = 1024 * 1024;

  // These are above our own limits. A request over ours gets an answer; one over these is cut off.
  static restinio::incoming_http_msg_limits_t limits_of(const config::server_options& options) {
    return restinio::incoming_http_msg_limits_t{}
        .max_url_size(16 * 1024)
        .max_field_name_size(options.header_limit * 2)
        .max_field_value_size(options.header_limit * 2)
        .max_field_count(options.header_count_limit * 2)
        .max_body_size(options.body_limit + answered_excess);
  }

  void configure(restinio::server_settings_t<traits>& settings, shard& home, std::size_t index,
                 const config::address& at) {
    namespace ip = boost::asio::ip;
    using reuse_port = boost::asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
    using std::chrono::seconds;
    const auto& options = home.gateway().settings().server;
    settings.address(ip::make_address(at.host == "localhost" ? "127.0.0.1" : at.host))
        .port(at.port)
        .request_handler(request_dispatcher{&home, index})
        .connection_state_listener(
            std::make_shared<connection_observer>(connection_observer{&home, index}))
        .incoming_http_msg_limits(limits_of(options))
        .max_parallel_connections(options.max_connections)
        .max_pipelined_requests(2)
        .buffer_size(8 * 1024)
        .concurrent_accepts_count(4)
        .read_next_http_message_timelimit(seconds(options.header_read_timeout_s))
        .write_http_response_timelimit(seconds(options.write_timeout_s))
        .handle_request_timeout(std::chrono::hours(24))  // the call keeps the deadlines
        .acceptor_options_setter([](restinio::acceptor_options_t& o) {
          o.set_option(ip::tcp::acceptor::reuse_address(true));
          o.set_option(reuse_port(true));
        })
        .socket_options_setter(
            [](restinio::socket_options_t& o) { o.set_option(ip::tcp::no_delay(true)); })
        .acceptor_post_bind_hook([this, &at](ip::tcp::acceptor& acceptor) {
          const auto bound = acceptor.local_endpoint();
          bound_ = {bound.address().to_string(), bound.port(), at.is_tls};
        });
  }

  restinio::http_server_t<traits> server_;
};

}  // namespace signalbox::http
