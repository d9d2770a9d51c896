#include "http/proxy/upstream_socket.hpp"

#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>

namespace signalbox::http {

namespace asio = boost::asio;

void upstream_socket::connect(const asio::ip::tcp::endpoint& at, const config::trust_ptr& trust,
                              const std::string& host, connect_handler done) {
  plain_.async_connect(at, [this, trust, host, done = std::move(done)](const io_error& error) {
    if (error) return done(error);
    io_error ignored;
    plain_.set_option(asio::ip::tcp::no_delay(true), ignored);
    if (!trust) return done({});
    shake_hands(trust, host, done);
  });
}

void upstream_socket::shake_hands(const config::trust_ptr& trust, const std::string& host,
                                  connect_handler done) {
  SSL_CTX_up_ref(trust.get());
  asio::ssl::context borrowed(trust.get());
  tls_ = std::make_unique<tls_stream>(std::move(plain_), borrowed);
  if (!config::expect_host(tls_->native_handle(), host)) {
    return asio::post(get_executor(),
                      [done = std::move(done)] { done(asio::error::invalid_argument); });
  }
  tls_->async_handshake(asio::ssl::stream_base::client, std::move(done));
}

void upstream_socket::close() {
  io_error ignored;
  lowest().close(ignored);
}

// As tls_socket::shutdown() does it.
bool upstream_socket::end_sending() {
  io_error ignored;
  if (tls_) {
    SSL* const native = tls_->native_handle();
    SSL_set_shutdown(native, SSL_get_shutdown(native) | SSL_RECEIVED_SHUTDOWN);
    tls_->shutdown(ignored);
  }
  lowest().shutdown(polled_socket::shutdown_send, ignored);
  return tls_ == nullptr;
}

void upstream_socket::acknowledge(bool at_once) {
  const int value = at_once ? 1 : 0;
  ::setsockopt(lowest().polled().descriptor(), IPPROTO_TCP, TCP_QUICKACK, &value, sizeof value);
}

}  // namespace signalbox::http
