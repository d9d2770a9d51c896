// Keep-alive connections to runtimes, on the shard's own loop, read with http_parser. A request
// goes out in one gathered write; its answer goes to an upstream_sink as it arrives.
#pragma once

#include <http_parser.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string_view>

#include "actors/messages.hpp"
#include "http/proxy/upstream_head.hpp"
#include "http/proxy/upstream_socket.hpp"
#include "http/serve/tunnel_end.hpp"

namespace signalbox::http {

// The ways in which an exchange ends.
enum class upstream_end : std::uint8_t {
  complete,         // the whole answer was read
  complete_at_eof,  // the close of the connection ended it, as it had no length (RFC 9112 6.3)
  refused,          // nobody listens there: nothing was sent
  connect_failed,   // no connection for another reason: nothing was sent
  closed_unused,    // closed before a byte of the answer came
  broken,           // closed or reset in the middle
  not_http          // the answer does not parse, or has a status that no answer to us can have
};

// Receives an answer. It is called from the shard's loop, never from inside send().
class upstream_sink {
 public:
  virtual void upstream_headers(upstream_head& head) = 0;  // the sink may take it
  virtual void upstream_body(std::string_view bytes) = 0;
  // After the head of a 101, instead of upstream_ended(): the connection has left HTTP and is the
  // sink's, as the end of a tunnel. `rest` came behind the head.
  virtual void upstream_switched(std::string_view /*rest*/) {}
  // Called exactly once, unless the connection was abandoned before. The connection is then already
  // pooled or closed.
  virtual void upstream_ended(upstream_end how) = 0;
  // Called when the request cannot be sent at once: hands over what keeps the text of its pieces,
  // which stays where it is. The kernel or TLS may read it even after the exchange.
  virtual std::shared_ptr<const void> give_up_text() { return nullptr; }

 protected:
  ~upstream_sink() = default;
};

class upstream_pool;

// The pieces of a request: its head, and the body with our edits. Unused pieces are empty.
using gathered_pieces = std::array<std::string_view, 6>;

// A connection to a run of a backend, which carries one exchange at a time. It counts in the
// endpoint's link until it is closed.
class upstream_connection final : public tunnel_end,
                                  public std::enable_shared_from_this<upstream_connection> {
 public:
  upstream_connection(boost::asio::io_context& io, upstream_pool& pool, endpoint_ptr endpoint);
  ~upstream_connection();
  upstream_connection(const upstream_connection&) = delete;
  upstream_connection& operator=(const upstream_connection&) = delete;

  // The text of `pieces`, and `sink`, must live until upstream_ended() or abandon().
  void send(const gathered_pieces& pieces, upstream_sink& sink);
  // From now on it may leave HTTP, when an answer says so, and carries nothing after this exchange.
  // Otherwise a 101 is no answer.
  void expect_upgrade() { may_switch_ = true; }
  // Closes the connection, which tells the runtime to stop. The sink gets no further call.
  void abandon();
  // Stops reading until resume(), for back-pressure.
  void pause() { paused_ = true; }
  void resume();
  bool paused() const { return paused_; }
  // Ends the exchange with connect_failed if it still waits for the connection.
  void give_up_connecting();

  // Once it has left HTTP.
  void read(boost::asio::mutable_buffer into, transfer_done done) override;
  void write(boost::asio::const_buffer all, transfer_done done) override;
  bool end_sending() override { return socket_.end_sending(); }
  void close(bool /*has_time*/) override { abandon(); }

  // Tells whether it carried another exchange before the present or last one.
  bool was_reused() const { return exchanges_ > 1; }

 private:
  friend class upstream_pool;

  // For the pool.
  bool is_trusted() const;  // may carry another exchange
  bool may_be_kept() const;
  bool may_go_on() const;
  bool has_bare_cr(std::string_view bytes);
  bool ends_chunk(std::string_view behind);
  std::size_t parse(std::size_t bytes);
  void become_idle(time_point now);
  void become_busy();
  time_point idle_since() const { return idle_since_; }
  // It is new, and its request has heard nothing yet.
  bool is_unheard() const { return sink_ != nullptr && exchanges_ == 1 && !answer_began_; }

  void connect();
  void write();
  void read();
  void received(std::size_t bytes);
  void acknowledge(bool body_had_begun);
  void note_unasked_bytes();
  void stop_counting();
  void read_failed(bool is_end);
  void end(upstream_end how, bool keep);
  static const http_parser_settings& callbacks();
  int headers_complete();
  backend_link& link() const { return *endpoint_->link; }

  upstream_pool& pool_;
  endpoint_ptr endpoint_;
  const std::uint32_t moves_;  // of the link, when it was made
  upstream_socket socket_;
  http_parser parser_{};
  upstream_sink* sink_ = nullptr;
  gathered_pieces pieces_;
  std::shared_ptr<const void> text_;  // keeps the pieces that the sink gave up
  upstream_head head_;
  std::uint32_t exchanges_ = 0;
  duration keep_idle_{};
  time_point idle_since_{};
  bool counts_ = true;  // as open
  bool connecting_ = false, reading_ = false, writing_ = false, paused_ = false, pooled_ = false;
  enum class first_line : std::uint8_t { open, after_cr, over } first_line_ = first_line::open;
  std::string_view chunk_end_;  // what must come next of the CRLF behind the data of a chunk
  std::size_t received_ = 0;    // bytes of the last read
  bool at_chunk_ = false;       // the parser is behind the line with a chunk's size
  bool message_complete_ = false, answer_began_ = false, body_began_ = false, closes_ = false;
  bool may_switch_ = false, has_switched_ = false;
  bool acknowledges_at_once_ = true;  // as a new connection does
  bool is_lumpy_ = false;             // the stream that is read
  std::uint32_t body_parts_ = 0;      // in the last read
  time_point read_at_{};              // the last read of a stream's body
  std::array<char, 16 * 1024> buffer_;
};
using upstream_connection_ptr = std::shared_ptr<upstream_connection>;

}  // namespace signalbox::http
