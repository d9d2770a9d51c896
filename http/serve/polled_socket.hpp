// TCP sockets for the path of every request. Asio reads before it waits, which costs each message
// one more system call that finds nothing. These sockets wait in an epoll set of their own,
// edge-triggered, and are read only when there is something (epoll(7), "the read I/O space is
// exhausted").
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cstdint>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

namespace signalbox::http {

using io_error = boost::system::error_code;

// The completion of a read or a write.
class transfer_handler {
 public:
  virtual ~transfer_handler() = default;
  virtual void complete(const io_error& error, std::size_t bytes) = 0;
};
using transfer_handler_ptr = std::unique_ptr<transfer_handler>;

// The pieces of one gathered write.
struct write_pieces {
  static constexpr std::size_t max_pieces = 16;  // in one system call
  std::array<iovec, max_pieces> pieces;
  std::size_t count = 0;

  template <typename ConstBufferSequence>
  static write_pieces of(const ConstBufferSequence& buffers) {
    write_pieces result;
    auto at = boost::asio::buffer_sequence_begin(buffers);
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (; at != end && result.count < max_pieces; ++at) {
      const boost::asio::const_buffer piece(*at);
      if (piece.size() == 0) continue;
      result.pieces[result.count++] = {const_cast<void*>(piece.data()), piece.size()};
    }
    return result;
  }
};

class socket_poller;

// A socket in the set of the poller. It lives until the events of its turn are handled.
class polled_descriptor {
 public:
  polled_descriptor(socket_poller& poller, int descriptor);

  void read(boost::asio::mutable_buffer into, transfer_handler_ptr handler);
  void write(const write_pieces& pieces, transfer_handler_ptr handler);
  // Error would_block: nothing was sent.
  std::size_t write_now(const write_pieces& pieces, io_error& error);
  void cancel();  // waiting operations end with operation_aborted, in a later turn
  void close();
  int descriptor() const { return descriptor_; }

 private:
  friend class socket_poller;
  struct transfer_result {
    io_error error;
    std::size_t bytes = 0;
  };

  transfer_result read_now();
  void ready(std::uint32_t events);
  void post(transfer_handler_ptr handler, const transfer_result& result);

  socket_poller& poller_;
  int descriptor_;
  io_error unusable_;                      // why it could not be added to the set
  bool readable_ = true;                   // false once a read finds nothing
  bool closing_ = false;                   // the peer sent its last byte, or the connection broke
  boost::asio::mutable_buffer read_into_;  // while reader_ waits
  transfer_handler_ptr reader_;
  write_pieces write_from_;  // while writer_ waits
  transfer_handler_ptr writer_;
};

// The epoll set of one io_context, which watches the set itself. Found by boost::asio::use_service.
class socket_poller final : public boost::asio::execution_context::service {
 public:
  using key_type = socket_poller;
  static inline boost::asio::execution_context::id id;

  explicit socket_poller(boost::asio::execution_context& io);

  std::unique_ptr<polled_descriptor> watch(int descriptor);  // takes ownership of the descriptor
  void retire(std::unique_ptr<polled_descriptor> socket);

 private:
  friend class polled_descriptor;

  void shutdown() override;
  void wait();
  void handle_events();

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor set_;
  std::unordered_set<polled_descriptor*> sockets_;
  std::vector<std::unique_ptr<polled_descriptor>> retired_;  // during handle_events()
  bool handling_ = false;
};

// An Asio socket until its first read or write: it is accepted or connected, and given options, as
// such, and may be moved. After that it has left Asio's reactor, and only what is declared here
// works. RESTinio uses it as its stream socket.
class polled_socket : public boost::asio::ip::tcp::socket {
 public:
  explicit polled_socket(boost::asio::io_context& io);
  polled_socket(polled_socket&&) = default;
  polled_socket& operator=(polled_socket&&) = default;
  ~polled_socket();

  bool is_open() const;
  void cancel(io_error& error);
  void shutdown(shutdown_type what, io_error& error);
  void close();
  void close(io_error& error);

  // Like Asio's, these functions never call a handler themselves. Handlers come by reference
  // and are moved from last: Asio's composed operations pass themselves together with buffers that
  // they own.
  template <typename Handler>  // (error, bytes)
  void async_read_some(boost::asio::mutable_buffer into, Handler&& handler) {
    polled().read(into, erase(std::forward<Handler>(handler)));
  }
  template <typename ConstBufferSequence, typename Handler>
  void async_write_some(const ConstBufferSequence& buffers, Handler&& handler) {
    polled().write(write_pieces::of(buffers), erase(std::forward<Handler>(handler)));
  }
  // Writes without waiting; error::would_block when nothing could be sent.
  template <typename ConstBufferSequence>
  std::size_t write_some(const ConstBufferSequence& buffers, io_error& error) {
    return polled().write_now(write_pieces::of(buffers), error);
  }

 private:
  template <typename Handler>
  static transfer_handler_ptr erase(Handler handler) {
    struct erased final : transfer_handler {
      Handler handler;
      explicit erased(Handler h) : handler(std::move(h)) {}
      void complete(const io_error& error, std::size_t bytes) override { handler(error, bytes); }
    };
    return std::make_unique<erased>(std::move(handler));
  }
  polled_descriptor& polled();

  socket_poller* poller_;
  std::unique_ptr<polled_descriptor> polled_;
};

}  // namespace signalbox::http
