// A client's socket, plain or with TLS, with its door between it and RESTinio.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <cstddef>
#include <memory>
#include <restinio/tls_fwd.hpp>
#include <string_view>
#include <type_traits>
#include <utility>

#include "http/serve/client_door.hpp"
#include "http/serve/tls_socket.hpp"

namespace signalbox::http {

template <typename Socket>
class guarded_socket final : public door_socket {
 public:
  using executor_type = typename Socket::executor_type;
  using lowest_layer_type = typename Socket::lowest_layer_type;

  // Who closes TLS does not listen any longer; who closes one side of TCP may.
  static constexpr bool may_half_close = std::is_same_v<Socket, polled_socket>;

  guarded_socket(Socket socket, std::shared_ptr<client_door> door)
      : socket_(std::move(socket)), door_(std::move(door)) {
    door_->attach(this);
  }
  guarded_socket(guarded_socket&& other) noexcept
      : socket_(std::move(other.socket_)), door_(std::move(other.door_)) {
    door_->attach(this);
  }
  ~guarded_socket() {
    if (door_) door_->detach();
  }

  // What RESTinio wants of a socket.
  executor_type get_executor() { return socket_.get_executor(); }
  lowest_layer_type& lowest_layer() { return socket_.lowest_layer(); }
  bool is_open() const override { return socket_.is_open(); }
  void cancel(io_error& error) { socket_.cancel(error); }
  void shutdown(polled_socket::shutdown_type, io_error& error) {
    is_lingering_ = door_->say_last_words();
    socket_.shutdown(polled_socket::shutdown_send, error);
  }
  void close() { is_lingering_ ? socket_.linger() : socket_.close(); }

  template <typename Handler>
  void async_read_some(boost::asio::mutable_buffer into, Handler handler) {
    door_->read_begins();
    socket_.async_read_some(into, [door = door_, into, handler = std::move(handler)](
                                      const io_error& error, std::size_t bytes) mutable {
      const client_door::visit here(*door);
      if (error) {
        door->read_failed(error);
        return handler(error, 0);
      }
      door->arrived({static_cast<const char*>(into.data()), bytes});
      handler(error, bytes);
    });
  }

  template <typename ConstBufferSequence, typename Handler>
  void async_write_some(const ConstBufferSequence& buffers, Handler&& handler) {
    door_->write_begins();
    socket_.async_write_some(buffers, [door = door_, handler = std::forward<Handler>(handler)](
                                          const io_error& error, std::size_t bytes) mutable {
      const client_door::visit here(*door);
      door->write_ended();  // first, because the handler may go on to the next request
      handler(error, bytes);
    });
  }

  // What its door wants.
  void write_aside(std::string_view text) override {
    io_error unsent;
    socket_.write_some(boost::asio::buffer(text.data(), text.size()), unsent);
  }
  void close_now() override { socket_.close(); }
  polled_descriptor& polled() override { return socket_.polled(); }
  void read_raw(boost::asio::mutable_buffer into, tunnel_end::transfer_done done) override {
    socket_.async_read_some(into, std::move(done));
  }
  void write_raw(boost::asio::const_buffer all, tunnel_end::transfer_done done) override {
    boost::asio::async_write(socket_, boost::asio::buffer(all), std::move(done));
  }
  bool end_sending() override {
    io_error ignored;
    socket_.shutdown(polled_socket::shutdown_send, ignored);
    return may_half_close;
  }
  void close_raw(bool has_time) override { has_time ? socket_.linger() : socket_.close(); }

  template <typename Started>
  void handshake(Started started) {
    socket_.handshake(std::move(started));
  }

 private:
  Socket socket_;
  std::shared_ptr<client_door> door_;
  bool is_lingering_ = false;
};

// RESTinio calls these functions for its sockets.
template <typename Connection, typename Started, typename Failed>
void prepare_connection_and_start_read(guarded_socket<polled_socket>&, Connection&, Started started,
                                       Failed) {
  started();
}

template <typename Connection, typename Started, typename Failed>
void prepare_connection_and_start_read(guarded_socket<tls_socket>& socket, Connection& connection,
                                       Started started, Failed failed) {
  socket.handshake([started = std::move(started), failed = std::move(failed),
                    alive = connection.shared_from_this()](const io_error& error) mutable {
    if (error) return failed(error);
    started();
  });
}

template <typename Socket>
restinio::tls_socket_t* make_tls_socket_pointer_for_state_listener(
    guarded_socket<Socket>&) noexcept {
  return nullptr;
}

}  // namespace signalbox::http
