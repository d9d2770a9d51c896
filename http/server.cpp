#include "http/server.hpp"

#include <restinio/http_server.hpp>

#include <stdexcept>
#include <utility>

#include "config/address.hpp"
#include "http/gateway_state.hpp"
#include "http/polled_socket.hpp"
#include "http/routes.hpp"

namespace signalbox::http {

namespace asio = boost::asio;

namespace {

connection_key key_of(std::size_t address, restinio::connection_id_t id) {
  return (static_cast<connection_key>(address) << 48) | (id & 0xffff'ffff'ffff);
}

struct listener {
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

struct handler {
  shard* home;
  std::size_t address;

  restinio::request_handling_status_t operator()(restinio::request_handle_t request) const {
    const auto key = key_of(address, request->connection_id());
    dispatch(*home, key, std::move(request));
    return restinio::request_accepted();
  }
};

struct traits : restinio::default_single_thread_traits_t {
  using request_handler_t = handler;
  using stream_socket_t = polled_socket;
  using connection_state_listener_t = listener;
  static constexpr bool use_connection_count_limiter = true;
};

// Bodies are held before anybody has asked who sends them: not much more than is allowed.
constexpr std::uint64_t answered_excess = 1024 * 1024;

using http_server = restinio::http_server_t<traits>;
using namespace std::chrono_literals;

}  // namespace

struct server::state {
  std::vector<std::unique_ptr<http_server>> servers;
  std::vector<std::string> bound;
};

server::server(shard& home, const std::vector<std::string>& listen)
    : state_(std::make_unique<state>()) {
  const auto& options = home.gateway().settings().server;
  for (std::size_t i = 0; i < listen.size(); ++i) {
    const auto address = config::parse_listen(listen[i]);
    if (!address) throw std::runtime_error("not an address: " + listen[i]);
    const std::string ip = address->host == "localhost" ? "127.0.0.1" : address->host;
    // Above our own limits: what is over ours gets an answer, what is over these is cut off.
    const auto limits = restinio::incoming_http_msg_limits_t{}
                            .max_url_size(16 * 1024)
                            .max_field_name_size(options.header_limit * 2)
                            .max_field_value_size(options.header_limit * 2)
                            .max_field_count(options.header_count_limit * 2)
                            .max_body_size(options.body_limit + answered_excess);
    std::string where;
    auto one = std::make_unique<http_server>(
        restinio::external_io_context(home.io()), [&](auto& settings) {
          settings.address(asio::ip::make_address(ip))
              .port(address->port)
              .request_handler(handler{&home, i})
              .connection_state_listener(std::make_shared<listener>(listener{&home, i}))
              .incoming_http_msg_limits(limits)
              .max_parallel_connections(options.max_connections)
              .max_pipelined_requests(2)
              .buffer_size(8 * 1024)
              .concurrent_accepts_count(4)
              .read_next_http_message_timelimit(std::chrono::seconds(options.header_read_timeout_s))
              .write_http_response_timelimit(std::chrono::seconds(options.write_timeout_s))
              .handle_request_timeout(24h)  // deadlines are the exchange's
              .acceptor_options_setter([](restinio::acceptor_options_t& o) {
                o.set_option(asio::ip::tcp::acceptor::reuse_address(true));
                o.set_option(asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>(true));
              })
              .socket_options_setter([](restinio::socket_options_t& o) {
                o.set_option(asio::ip::tcp::no_delay(true));
              })
              .acceptor_post_bind_hook([&where](asio::ip::tcp::acceptor& acceptor) {
                const auto bound = acceptor.local_endpoint();
                const auto host = bound.address().to_string();
                where = (bound.address().is_v6() ? "[" + host + "]" : host) + ":" +
                        std::to_string(bound.port());
              });
        });
    try {
      one->open_sync();
    } catch (const std::exception& e) {
      throw std::runtime_error("cannot listen on " + listen[i] + ": " + e.what());
    }
    state_->bound.push_back(where);
    state_->servers.push_back(std::move(one));
  }
}

server::~server() = default;

const std::vector<std::string>& server::bound() const {
  return state_->bound;
}

void server::stop_accepting() {
  for (auto& one : state_->servers) one->close_sync();
}

}  // namespace signalbox::http
