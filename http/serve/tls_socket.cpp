#include "http/serve/tls_socket.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <stdexcept>
#include <string>

namespace signalbox::http {

namespace asio = boost::asio;

tls_context make_tls_context(const config::certificate_pair& pair) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX* native = context->native_handle();
  ERR_clear_error();
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  // Clients resume with tickets; a session cache would only use memory.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION) != 1 ||
      !config::use_pair(native, pair)) {
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    throw std::runtime_error(std::string("TLS: ") + (reason != nullptr ? reason : "no context"));
  }
  return context;
}

tls_socket::tls_socket(asio::io_context& io)
    : identity_(&asio::use_service<tls_identity>(io)), plain_(io) {}

tls_socket::tls_socket(asio::io_context& io, unique_fd descriptor, connection_place place)
    : identity_(&asio::use_service<tls_identity>(io)),
      plain_(io, std::move(descriptor), std::move(place)) {}

// When the timer expires, the handshake may be done or the socket gone.
void tls_socket::begin() {
  stream_ = std::make_shared<stream>(std::move(plain_), identity_->context());
  timer_ = std::make_unique<asio::steady_timer>(get_executor(), identity_->handshake_timeout());
  timer_->async_wait([watch = std::weak_ptr<stream>(stream_)](const io_error& error) {
    if (error) return;
    const auto late = watch.lock();
    if (late && SSL_is_init_finished(late->native_handle()) == 0) late->next_layer().close();
  });
}

void tls_socket::shutdown(polled_socket::shutdown_type what, io_error& error) {
  if (stream_ && SSL_is_init_finished(stream_->native_handle()) == 1) {
    SSL* native = stream_->native_handle();
    // We do not wait for the close_notify of the peer, and act as if it had come.
    SSL_set_shutdown(native, SSL_get_shutdown(native) | SSL_RECEIVED_SHUTDOWN);
    io_error unsent;
    stream_->shutdown(unsent);
  }
  socket().shutdown(what, error);
}

}  // namespace signalbox::http
