// TLS sockets for RESTinio: Asio's TLS over a polled_socket. The TLS part is made after a
// connection is accepted, with the certificate that the shard has at that time.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <utility>

#include "config/certificate.hpp"
#include "http/serve/polled_socket.hpp"

namespace signalbox::http {

using tls_context = std::shared_ptr<boost::asio::ssl::context>;

// Makes the context of all shards: TLS 1.2 and above, OpenSSL's default ciphers. Throws
// std::runtime_error.
tls_context make_tls_context(const config::certificate_pair& pair);

// The context and time limit for the handshakes of one io_context. Found by
// boost::asio::use_service; set before the first connection.
class tls_identity final : public boost::asio::execution_context::service {
 public:
  using key_type = tls_identity;
  static inline boost::asio::execution_context::id id;
  using duration = std::chrono::steady_clock::duration;

  explicit tls_identity(boost::asio::execution_context& io) : service(io) {}

  // Call it on the thread of the loop. Connections that exist keep their certificate.
  void show(tls_context context) { context_ = std::move(context); }
  void set_handshake_timeout(duration timeout) { handshake_timeout_ = timeout; }

  boost::asio::ssl::context& context() { return *context_; }
  duration handshake_timeout() const { return handshake_timeout_; }

 private:
  void shutdown() override {}

  tls_context context_;
  duration handshake_timeout_ = std::chrono::seconds(15);
};

// A plain accepted socket until handshake(); it may be moved only before that.
class tls_socket {
 public:
  using executor_type = polled_socket::executor_type;
  using lowest_layer_type = polled_socket::lowest_layer_type;

  explicit tls_socket(boost::asio::io_context& io);
  // As the polled_socket of these.
  tls_socket(boost::asio::io_context& io, unique_fd descriptor, connection_place place);

  executor_type get_executor() { return socket().get_executor(); }
  lowest_layer_type& lowest_layer() { return socket().lowest_layer(); }
  bool is_open() const { return socket().is_open(); }
  void cancel(io_error& error) { socket().cancel(error); }
  // Sends close_notify, so that the peer knows that nothing was cut off, if it can be sent at once.
  void shutdown(polled_socket::shutdown_type what, io_error& error);
  void close() { socket().close(); }
  void linger() { socket().linger(); }
  polled_descriptor& polled() { return socket().polled(); }

  // Call it once, before any read or write. Fails when the time limit is over.
  template <typename Handler>  // (error)
  void handshake(Handler handler) {
    begin();
    stream_->async_handshake(boost::asio::ssl::stream_base::server,
                             [this, handler = std::move(handler)](const io_error& error) mutable {
                               timer_.reset();
                               handler(error);
                             });
  }

  template <typename ConstBufferSequence>
  std::size_t write_some(const ConstBufferSequence& buffers, io_error& error) {
    return stream_->write_some(buffers, error);
  }
  template <typename MutableBufferSequence, typename Handler>
  void async_read_some(const MutableBufferSequence& into, Handler&& handler) {
    stream_->async_read_some(into, std::forward<Handler>(handler));
  }
  template <typename ConstBufferSequence, typename Handler>
  void async_write_some(const ConstBufferSequence& buffers, Handler&& handler) {
    stream_->async_write_some(buffers, std::forward<Handler>(handler));
  }

 private:
  using stream = boost::asio::ssl::stream<polled_socket>;

  polled_socket& socket() { return stream_ ? stream_->next_layer() : plain_; }
  const polled_socket& socket() const { return stream_ ? stream_->next_layer() : plain_; }
  void begin();

  tls_identity* identity_;
  polled_socket plain_;  // until the handshake
  std::shared_ptr<stream> stream_;
  std::unique_ptr<boost::asio::steady_timer> timer_;  // during the handshake
};

}  // namespace signalbox::http
