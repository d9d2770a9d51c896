// A socket of a connection to a runtime, plain or with TLS: Asio's TLS over a polled_socket.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "config/trust.hpp"
#include "http/serve/polled_socket.hpp"

namespace signalbox::http {

class upstream_socket {
 public:
  using executor_type = polled_socket::executor_type;
  using connect_handler = std::function<void(const io_error& error)>;

  explicit upstream_socket(boost::asio::io_context& io) : plain_(io) {}

  // Connects once, and shakes hands where there is trust: with this host, a name or an IP address,
  // and nobody else.
  void connect(const boost::asio::ip::tcp::endpoint& at, const config::trust_ptr& trust,
               const std::string& host, connect_handler done);

  executor_type get_executor() { return lowest().get_executor(); }
  bool waits_for_bytes() { return lowest().polled().is_reading(); }
  bool is_open() const { return tls_ ? tls_->next_layer().is_open() : plain_.is_open(); }
  void close();
  bool end_sending();  // as in tunnel_end

  // Acknowledges what was received at once (true), or as late as the kernel likes.
  void acknowledge(bool at_once);
  // The read that waits fails with timed_out then; `never`: it waits for ever.
  void read_by(time_point at) { lowest().polled().read_by(at); }

  template <typename Handler>  // (error, bytes)
  void async_read_some(boost::asio::mutable_buffer into, Handler&& handler) {
    if (!tls_) return plain_.async_read_some(into, std::forward<Handler>(handler));
    tls_->async_read_some(into, std::forward<Handler>(handler));
  }
  template <typename ConstBufferSequence, typename Handler>
  void async_write_some(const ConstBufferSequence& buffers, Handler&& handler) {
    if (!tls_) return plain_.async_write_some(buffers, std::forward<Handler>(handler));
    tls_->async_write_some(buffers, std::forward<Handler>(handler));
  }
  // Writes without waiting; error::would_block when nothing could be sent, as always with TLS.
  template <typename ConstBufferSequence>
  std::size_t write_some(const ConstBufferSequence& buffers, io_error& error) {
    if (!tls_) return plain_.write_some(buffers, error);
    error = boost::asio::error::would_block;
    return 0;
  }

 private:
  using tls_stream = boost::asio::ssl::stream<polled_socket>;

  polled_socket& lowest() { return tls_ ? tls_->next_layer() : plain_; }
  void shake_hands(const config::trust_ptr& trust, const std::string& host, connect_handler done);

  polled_socket plain_;  // until TLS begins
  std::unique_ptr<tls_stream> tls_;
};

}  // namespace signalbox::http
