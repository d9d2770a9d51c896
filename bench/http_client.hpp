// The HTTP client of the load generators: keep-alive connections on Asio and http_parser, one
// exchange at a time on each, every exchange with a deadline.
#pragma once

#include <http_parser.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "scheduling/types.hpp"

namespace signalbox::bench {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using steady = std::chrono::steady_clock;

struct target {
  tcp::endpoint address;
  std::string host;  // for the Host header
};

// From "http://host:port", without a path. Throws std::runtime_error when it is anything else or
// when the host has no address.
target parse_target(const std::string& url);

std::string get_request(const target& to, const std::string& path, const std::string& key);
std::string post_request(const target& to, const std::string& path, const std::string& key,
                         std::string_view json);

// How an exchange ended.
enum class exchange_end { complete, connect_failed, timed_out, closed_early, malformed };
const char* to_string(exchange_end end);

// Callbacks of one exchange, in this order; `ended` is called exactly once.
class exchange_listener {
 public:
  virtual ~exchange_listener() = default;
  virtual void status(int) {}
  virtual void header(std::string_view, std::string_view) {}
  virtual void body(std::string_view bytes) = 0;
  virtual void ended(exchange_end end) = 0;
};

class http_connection : public std::enable_shared_from_this<http_connection> {
 public:
  http_connection(asio::io_context& io, tcp::endpoint address);

  // Sends a request, and connects first if there is no connection. One exchange at a time.
  void start(std::string request, std::shared_ptr<exchange_listener> listener,
             steady::duration timeout);

  // Whether the last exchange was complete and the server keeps the connection open.
  bool reusable() const { return reusable_; }
  steady::time_point idle_since() const { return idle_since_; }

 private:
  static const http_parser_settings& parser_settings();
  void send();
  void receive();
  void received(const boost::system::error_code& error, std::size_t size);
  void header_complete();
  void finish(exchange_end end);

  tcp::endpoint address_;
  tcp::socket socket_;
  asio::steady_timer deadline_;
  http_parser parser_{};
  std::string request_, field_, value_;
  bool in_value_ = false, complete_ = false, writing_ = false, reusable_ = false;
  steady::time_point idle_since_{};
  std::shared_ptr<exchange_listener> listener_;
  std::array<char, 16 * 1024> buffer_;
};

struct answer {
  exchange_end end = exchange_end::connect_failed;
  int status = 0;
  std::string body;
};

// Runs one exchange on a connection of its own and blocks until it ends. For checks, not for load.
answer fetch(const target& to, std::string request, steady::duration timeout);

}  // namespace signalbox::bench
