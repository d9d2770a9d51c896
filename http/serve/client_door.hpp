// What stands between a client's socket and RESTinio's connection. It decides on a request as soon
// as its head was read, before its body; it keeps the deadlines for what the client sends; it
// answers what is no request at all, before RESTinio closes the connection without a word; and it
// notices a client that leaves while it waits for its answer, when RESTinio reads nothing.
#pragma once

#include <http_parser.h>
#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <optional>
#include <restinio/http_headers.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "http/serve/body_blocks.hpp"
#include "http/serve/body_budget.hpp"
#include "http/serve/compressed_body.hpp"
#include "http/serve/framing_check.hpp"
#include "http/serve/polled_socket.hpp"
#include "http/serve/routes.hpp"
#include "http/serve/tunnel_end.hpp"

namespace signalbox::http {

// The socket of a door.
class door_socket {
 public:
  virtual void write_aside(std::string_view text) = 0;  // as much as can be written at once
  virtual void close_now() = 0;
  virtual bool is_open() const = 0;
  virtual polled_descriptor& polled() = 0;  // while it is open
  // For a tunnel: past RESTinio, which neither reads nor writes meanwhile. As in tunnel_end.
  virtual void read_raw(boost::asio::mutable_buffer into, tunnel_end::transfer_done done) = 0;
  virtual void write_raw(boost::asio::const_buffer all, tunnel_end::transfer_done done) = 0;
  virtual bool end_sending() = 0;
  virtual void close_raw(bool has_time) = 0;

 protected:
  ~door_socket() = default;
};

class client_door : public std::enable_shared_from_this<client_door> {
 public:
  client_door(shard& home, const boost::asio::ip::tcp::endpoint& peer);
  client_door(const client_door&) = delete;
  ~client_door();

  // --- For the socket.

  // Makes this the door that parsers find while a handler of its socket runs.
  class visit {
   public:
    explicit visit(client_door& door);
    ~visit();
    visit(const visit&) = delete;

   private:
    client_door* before_;
  };

  void attach(door_socket* socket) { socket_ = socket; }
  void detach();  // the socket is gone, and RESTinio's connection with it
  void read_begins();
  void arrived(std::string_view bytes);  // valid until they were parsed
  void read_failed(const io_error& error);
  void write_begins();
  void write_ended();
  // RESTinio closes the connection. Answers what was no request, and returns whether the client
  // should have time to read.
  bool say_last_words();

  // --- For the parser. They return what http_parser wants of its callbacks.

  static client_door& of(http_parser* parser);
  int message_begins(http_parser* parser);
  int head_is_too_large(error_code code);
  int head_ends(http_parser& parser, restinio::http_request_header_t& header, std::string& body);
  int body_arrives(std::string& body, std::string_view bytes);
  int chunk_begins();
  int message_ends(std::string& body);
  bool wants_close() const { return wants_close_; }  // the client, with this request
  int fails();                                       // something of ours did

  // --- For the server.

  // `may_half_close`: a client that sends no more may still listen.
  void begins(connection_key key, bool may_half_close);
  // Returns the request whose last byte was just read on this thread.
  static routed_request take_ended();
  void tick(time_point now);  // once the client sends no more; a few times a second
  // Gives the client's connection to a tunnel, instead of an answer to this request, which keeps
  // it. The tunnel notices how it ends.
  tunnel_end_ptr begin_tunnel(restinio::request_handle_t request);
  // Resets the connection in the middle of an answer, which is all that tells the client that the
  // rest is missing: one of HTTP/1.0 takes a usual close for the end of the answer.
  void break_off();
  // The client is gone, or sends no more. For answers that cannot find out by writing.
  bool may_have_left() const {
    return socket_ == nullptr || !socket_->is_open() || probe_at_ != never;
  }

 private:
  friend class request_share;
  enum class phase : std::uint8_t { between, head, body };  // of requests
  class client_end;

  bool is_answering() const { return requests_ > 0 || writes_ > 0; }
  int refuse(request_problem why);
  // `was_there`: its end had come when the request did.
  void peer_ended(bool is_broken, bool was_there = false);
  void leave();
  std::optional<request_problem> last_problem() const;
  int decode(std::string& body, std::string_view bytes);
  int take(std::string& body, std::string_view bytes);
  void append(std::string& body, std::string_view bytes);
  void join_blocks(std::string& body);

  shard& home_;
  const boost::asio::ip::tcp::endpoint peer_;
  connection_key key_ = 0;
  bool may_half_close_ = false;
  door_socket* socket_ = nullptr;
  const http_parser* parser_ = nullptr;  // the connection's; known from the first message on
  framing_check framing_;
  phase phase_ = phase::between;
  int requests_ = 0;           // not answered yet: 0 or 1
  int writes_ = 0;             // of an answer, going on
  bool has_bytes_ = false;     // of a request that has not ended
  bool has_answered_ = false;  // a byte of the answer to the last request was written
  bool is_timed_out_ = false;
  bool is_tunnel_ = false;
  time_point idle_since_{};  // since the first read after a request; zero: not between requests
  time_point probe_at_ = never;

  // The request that is being read.
  routed_request request_;
  restinio::http_request_header_t* header_ = nullptr;  // from the end of the head on
  body_share share_;
  std::uint64_t body_size_ = 0;            // of an unknown length: so far
  std::unique_ptr<body_decoder> decoder_;  // null: the body is not compressed
  body_share decoder_share_;               // of the memory of the decoder
  std::uint64_t compressed_size_ = 0;      // so far
  bool has_length_ = false;
  bool is_http10_ = false, wants_close_ = false;
  body_blocks blocks_;  // of a body of unknown length
};

// A request that is not answered yet: its memory, and its place at its door.
class request_share {
 public:
  request_share(std::shared_ptr<client_door> door, body_share body)
      : door_(std::move(door)), body_(std::move(body)) {}
  request_share(const request_share&) = delete;
  client_door& door() const { return *door_; }
  ~request_share() { --door_->requests_; }

 private:
  std::shared_ptr<client_door> door_;
  body_share body_;
};

}  // namespace signalbox::http
