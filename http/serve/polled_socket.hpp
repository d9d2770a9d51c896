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
#include <functional>
#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "http/serve/connection_places.hpp"
#include "scheduling/types.hpp"
#include "system/unique_fd.hpp"

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
  void reset_when_closed();  // close() then drops what is unsent, and the peer gets an error

  // A read that waits then fails with timed_out; `never`: it waits for ever. Counts for a read that
  // waits already, too.
  void read_by(time_point at);
  // Whether a read waits for bytes that have not come.
  bool is_reading() const { return reader_ != nullptr; }
  // A read that waits fails with timed_out when nothing came for the timeout, or when fewer bytes
  // came since the beginning than this rate asks for after the timeout.
  struct read_pace {
    time_point begin;
    duration timeout;
    double bytes_per_s;
  };
  void expect_pace(const read_pace& pace);
  // A write fails with timed_out when the peer takes nothing for so long; zero: it waits for ever.
  void set_write_timeout(duration timeout) { write_timeout_ = timeout; }
  // Called when the peer sends no more, and again with `is_broken` when it does not listen either.
  void on_peer_end(std::function<void(bool is_broken)> tell) { tell_peer_end_ = std::move(tell); }
  // Returns whether the peer has sent its last byte, which may not have been read yet.
  bool is_closing() const { return closing_; }

 private:
  friend class socket_poller;
  struct transfer_result {
    io_error error;
    std::size_t bytes = 0;
  };

  transfer_result read_now();
  void drop_input();
  void ready(std::uint32_t events);
  void handle_transfers(std::uint32_t events);
  void see_progress(time_point now);
  bool is_late(time_point now) const;
  void end_late(time_point now);
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
  time_point read_by_ = never, write_by_ = never;
  std::optional<read_pace> pace_;                   // instead of read_by_
  std::uint64_t paced_bytes_ = 0, seen_bytes_ = 0;  // since pace_ began; of these, seen in time
  time_point progress_at_{};                        // when seen_bytes_ last grew, about
  duration write_timeout_{};
  int unsent_bytes_ = 0;  // in the kernel, when write_by_ was set
  bool is_lingering_ = false;
  std::function<void(bool)> tell_peer_end_;
};

// The epoll set of one io_context, which watches the set itself. Found by boost::asio::use_service.
class socket_poller final : public boost::asio::execution_context::service {
 public:
  using key_type = socket_poller;
  static inline boost::asio::execution_context::id id;

  explicit socket_poller(boost::asio::execution_context& io);

  std::unique_ptr<polled_descriptor> watch(int descriptor);  // takes ownership of the descriptor
  void retire(std::unique_ptr<polled_descriptor> socket);
  // Ends our side of the connection, and drops what the peer still sends, until it closes or for
  // two seconds. Closed at once, with input unread, the connection would be reset, which can take
  // our last bytes from the peer before it has read them (RFC 9112 9.6).
  void linger(std::unique_ptr<polled_descriptor> socket, connection_place place);
  // Handles what has arrived by now, without waiting for the loop to come to it. Not to be called
  // while a socket's handler runs.
  void look() { handle_events(); }
  // Runs the task when all that has arrived by now is handled. Asio would look for more in between,
  // which costs a system call.
  void at_turn_end(std::function<void()> task);
  // Ends what has waited too long. Call it a few times a second.
  void check_deadlines(time_point now);

 private:
  friend class polled_descriptor;

  struct lingering {
    std::unique_ptr<polled_descriptor> socket;
    connection_place place;
    time_point until;
  };

  struct completion {
    transfer_handler_ptr handler;
    io_error error;
    std::size_t bytes;
  };

  void shutdown() override;
  void wait();
  void handle_events();
  void end_handling();
  void complete_later(completion done);
  void end_turn_later();
  void end_turn();

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor set_;
  std::unordered_set<polled_descriptor*> sockets_;
  std::vector<lingering> lingering_;
  std::vector<std::unique_ptr<polled_descriptor>> retired_;  // while handling_
  bool handling_ = false;
  // What is done at the end of the turn, which is under way or was posted if there is any of it.
  std::vector<completion> completed_, completing_;
  std::vector<std::function<void()>> tasks_, running_;
  bool in_turn_ = false, end_posted_ = false;
};

// An Asio socket until its first read or write: it is accepted or connected, and given options, as
// such, and may be moved. After that it has left Asio's reactor, and only what is declared here
// works. RESTinio uses it as its stream socket.
class polled_socket : public boost::asio::ip::tcp::socket {
 public:
  explicit polled_socket(boost::asio::io_context& io);
  // A connected socket that never was in Asio's reactor. `descriptor` is non-blocking.
  polled_socket(boost::asio::io_context& io, unique_fd descriptor, connection_place place);
  polled_socket(polled_socket&&) = default;
  polled_socket& operator=(polled_socket&&) = default;
  ~polled_socket();

  bool is_open() const;
  void cancel(io_error& error);
  void shutdown(shutdown_type what, io_error& error);
  void close();
  void close(io_error& error);
  void linger();  // closes it when the peer has had time to read everything
  polled_descriptor& polled();

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
  socket_poller* poller_;
  std::unique_ptr<polled_descriptor> polled_;
  connection_place place_;  // of a client; given back when the socket is closed
};

}  // namespace signalbox::http
