// Keep-alive connections to runtimes, on the shard's own loop, read with http_parser. A request's
// bytes go out in one gathered write; the answer comes through upstream_sink as it arrives.
#pragma once

#include <http_parser.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "actors/messages.hpp"
#include "http/serve/polled_socket.hpp"

namespace signalbox::http {

// Status and header fields of an answer. All their text is one string: a field costs no allocation.
class upstream_head {
 public:
  int status = 0;

  void clear();
  void add_to_name(std::string_view part);  // begins a field unless the last one has no value yet
  void add_to_value(std::string_view part);
  std::size_t bytes() const { return text_.size(); }
  template <typename Visit>  // (name, value)
  void for_each_field(Visit visit) const {
    const std::string_view all = text_;
    for (const auto& f : fields_) {
      visit(all.substr(f.name, f.value - f.name), all.substr(f.value, f.end - f.value));
    }
  }

 private:
  struct field {
    std::uint32_t name, value, end;  // where they begin in text_, and where the value ends
  };
  std::string text_;
  std::vector<field> fields_;
  bool value_began_ = true;
};

enum class upstream_end : std::uint8_t {
  complete,         // the whole answer was read
  complete_at_eof,  // the close of the connection ended it, as it had no length (RFC 9112 6.3)
  connect_failed,   // nothing was sent
  closed_unused,    // closed before a byte of the answer came
  broken,           // closed or reset in the middle
  not_http          // the answer does not parse
};

// The receiver of an answer. Called from the shard's loop, never from inside send().
class upstream_sink {
 public:
  virtual void upstream_headers(upstream_head& head) = 0;  // the sink may take it
  virtual void upstream_body(std::string_view bytes) = 0;
  // Exactly once, unless the connection was abandoned before. The connection is already pooled or
  // closed then.
  virtual void upstream_ended(upstream_end how) = 0;

 protected:
  ~upstream_sink() = default;
};

class upstream_pool;

// A request as it goes out: its head, and the body around our edits. The rest stays empty.
using gathered_pieces = std::array<std::string_view, 6>;

class upstream_connection : public std::enable_shared_from_this<upstream_connection> {
 public:
  upstream_connection(upstream_pool& pool, endpoint_ptr endpoint);

  // What `pieces` refer to, and `sink`, must outlive the exchange (until upstream_ended or
  // abandon()).
  void send(const gathered_pieces& pieces, upstream_sink& sink);
  // No further call to the sink; the connection is closed, which tells the runtime to stop.
  void abandon();
  // Back-pressure: no reads until resume().
  void pause() { paused_ = true; }
  void resume();
  bool paused() const { return paused_; }
  // Ends the exchange with connect_failed if it still waits for the connection.
  void give_up_connecting();

  // Had this connection carried another exchange before the present or last one?
  bool was_reused() const { return exchanges_ > 1; }

 private:
  friend class upstream_pool;

  void connect();
  void write();
  void read();
  void received(std::size_t bytes);
  void closed_by_peer();
  void end(upstream_end how, bool keep);
  static const http_parser_settings& callbacks();
  int headers_complete();

  upstream_pool& pool_;
  endpoint_ptr endpoint_;
  polled_socket socket_;
  http_parser parser_{};
  upstream_sink* sink_ = nullptr;
  gathered_pieces pieces_;
  upstream_head head_;
  std::uint32_t exchanges_ = 0;
  bool connecting_ = false, reading_ = false, writing_ = false, paused_ = false, pooled_ = false;
  bool message_complete_ = false, answer_began_ = false;
  std::array<char, 16 * 1024> buffer_;
};
using upstream_connection_ptr = std::shared_ptr<upstream_connection>;

// Idle connections of one shard, the most recently used first. Not thread-safe.
class upstream_pool {
 public:
  explicit upstream_pool(boost::asio::io_context& io);
  ~upstream_pool();

  // An idle connection to this run of the backend, or a new one. `fresh`: never an idle one.
  upstream_connection_ptr take(const endpoint_ptr& endpoint, bool fresh);
  // A connection to this run of the backend failed: it may be dying, its listener still open for
  // some milliseconds. For a moment nothing more should be sent there.
  void suspect(const endpoint_ptr& endpoint, time_point now);
  bool is_suspect(const endpoint_ptr& endpoint, time_point now) const;
  void close_all();

 private:
  friend class upstream_connection;
  static constexpr std::size_t max_idle = 1024;  // for each backend

  struct idle_of_backend {
    std::uint64_t incarnation = 0;
    std::uint64_t suspect = 0;  // an incarnation, until:
    time_point suspect_until{};
    std::vector<upstream_connection_ptr> idle;
  };
  void put_back(upstream_connection_ptr connection);
  void forget(const upstream_connection& connection);

  boost::asio::io_context& io_;
  std::unordered_map<backend_id, idle_of_backend> slots_;
};

}  // namespace signalbox::http
