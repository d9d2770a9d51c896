#include "http/proxy/upstream.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <tuple>
#include <utility>

#include "http/proxy/upstream_pool.hpp"

namespace signalbox::http {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::size_t max_head_bytes = 64 * 1024;

// A connection is closed this much sooner than the runtime promised: a request may be under way.
constexpr auto promise_margin = std::chrono::milliseconds(500);

// The kernel takes 40 ms to acknowledge what it need not acknowledge at once. What comes so long
// after the last read, nearly, may have been waiting for that.
constexpr auto late_gap = std::chrono::milliseconds(35);

upstream_connection& self(http_parser* parser) {
  return *static_cast<upstream_connection*>(parser->data);
}

// 100 Continue and the like come before the answer. A switch of protocols is an answer, but none
// to us.
bool is_interim(unsigned status) {
  return status >= 100 && status < 200 && status != 101;
}

// RFC 9112 6.3.
bool has_no_body_with(unsigned status) {
  return status == 204 || status == 304;
}

}  // namespace

upstream_connection::upstream_connection(asio::io_context& io, upstream_pool& pool,
                                         endpoint_ptr endpoint)
    : pool_(pool), endpoint_(std::move(endpoint)), moves_(link().moves()), socket_(io) {
  link().opened();
}

// A loop that ends drops its connections as they are.
upstream_connection::~upstream_connection() {
  stop_counting();
}

void upstream_connection::stop_counting() {
  if (std::exchange(counts_, false)) link().closed();
}

void upstream_connection::note_unasked_bytes() {
  if (!link().note_unasked_bytes()) return;
  spdlog::warn(
      "the runtime at {}:{} sends bytes that no request asked for; until it is started again, each "
      "request gets a connection of its own",
      endpoint_->host, endpoint_->port);
}

bool upstream_connection::is_trusted() const {
  return moves_ == link().moves() && !link().sends_unasked();
}

bool upstream_connection::may_be_kept() const {
  return keep_idle_ > duration::zero() && is_trusted() && !link().has_too_many();
}

// Whether the answer's first line ends in a CR alone. The parser would take what comes next for the
// LF, and what is behind that for header fields.
bool upstream_connection::has_bare_cr(std::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n' || first_line_ == first_line::after_cr) {
      first_line_ = first_line::over;
      return c != '\n';
    }
    if (c == '\r') first_line_ = first_line::after_cr;
  }
  return false;
}

// Whether CRLF follows the data of a chunk, as far as it has come. The parser skips two bytes
// there, whatever they are.
bool upstream_connection::ends_chunk(std::string_view behind) {
  behind = behind.substr(0, chunk_end_.size());
  if (!chunk_end_.starts_with(behind)) return false;
  chunk_end_.remove_prefix(behind.size());
  return true;
}

// Has the parser read the buffer, and returns how much of it was read. Behind a CR the parser takes
// any byte for the LF that ends the line with a chunk's size; it stops there, and goes on if it was
// one.
std::size_t upstream_connection::parse(std::size_t bytes) {
  std::size_t used = 0;
  do {
    used += http_parser_execute(&parser_, &callbacks(), buffer_.data() + used, bytes - used);
    if (!std::exchange(at_chunk_, false) || buffer_[used - 1] != '\n') return used;
    http_parser_pause(&parser_, 0);
  } while (used < bytes);  // no bytes would mean the end of the connection
  return used;
}

// Whether the runtime reads another request. Chunks of HTTP/1.0 are not to be trusted (RFC 9112
// 6.1).
bool upstream_connection::may_go_on() const {
  const bool is_odd = parser_.http_minor == 0 && (parser_.flags & F_CHUNKED) != 0;
  return http_should_keep_alive(&parser_) != 0 && !closes_ && !is_odd;
}

void upstream_connection::become_idle(time_point now) {
  pooled_ = true;
  paused_ = false;
  idle_since_ = now;
  read();  // so that a close by the runtime is seen
  socket_.read_by(now + keep_idle_);
}

void upstream_connection::become_busy() {
  pooled_ = false;
  socket_.read_by(never);
}

void upstream_connection::send(const gathered_pieces& pieces, upstream_sink& sink) {
  sink_ = &sink;
  ++exchanges_;
  pieces_ = pieces;
  text_.reset();
  first_line_ = first_line::open;
  chunk_end_ = {};
  head_.clear();
  message_complete_ = answer_began_ = body_began_ = is_lumpy_ = paused_ = false;
  http_parser_init(&parser_, HTTP_RESPONSE);
  parser_.data = this;
  if (socket_.is_open()) {
    write();
  } else {
    connect();
  }
}

void upstream_connection::connect() {
  boost::system::error_code error;
  const auto moved_to = link().address();
  const auto address =
      asio::ip::make_address(moved_to.empty() ? endpoint_->address : moved_to, error);
  if (error) {
    asio::post(socket_.get_executor(),
               [me = shared_from_this()] { me->end(upstream_end::connect_failed, false); });
    return;
  }
  auto host = endpoint_->host;
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  connecting_ = true;
  socket_.connect(tcp::endpoint(address, endpoint_->port), endpoint_->trust, host,
                  [me = shared_from_this()](const io_error& e) {
                    me->connecting_ = false;
                    if (!me->sink_) return;
                    if (e) {
                      const bool is_refused = e == asio::error::connection_refused;
                      return me->end(
                          is_refused ? upstream_end::refused : upstream_end::connect_failed, false);
                    }
                    me->write();
                  });
}

void upstream_connection::write() {
  std::array<asio::const_buffer, std::tuple_size_v<gathered_pieces>> buffers;
  std::transform(pieces_.begin(), pieces_.end(), buffers.begin(), [](std::string_view piece) {
    return asio::const_buffer(piece.data(), piece.size());
  });
  // Nearly every request fits the socket's buffer and is written at once, without waiting.
  boost::system::error_code error;
  auto sent = socket_.write_some(buffers, error);
  if (!error && sent < asio::buffer_size(buffers)) {
    for (auto& buffer : buffers) {
      const auto skip = std::min(sent, buffer.size());
      buffer += skip;
      sent -= skip;
    }
  }
  if ((!error && asio::buffer_size(buffers) > sent) || error == asio::error::would_block) {
    writing_ = true;
    text_ = sink_->give_up_text();
    // A failed write shows as a failed read, after an answer that came early (such as a 413).
    asio::async_write(
        socket_, buffers,
        [me = shared_from_this(), text = text_](io_error, std::size_t) { me->writing_ = false; });
  }
  read();
}

void upstream_connection::read() {
  if (reading_ || paused_) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(buffer_),
                          [me = shared_from_this()](boost::system::error_code e, std::size_t n) {
                            me->reading_ = false;
                            if (e) return me->read_failed(e == asio::error::eof);
                            me->received(n);
                          });
}

void upstream_connection::read(asio::mutable_buffer into, transfer_done done) {
  socket_.async_read_some(into, [me = shared_from_this(), done = std::move(done)](
                                    const io_error& e, std::size_t n) { done(e, n); });
}

void upstream_connection::write(asio::const_buffer all, transfer_done done) {
  asio::async_write(socket_, asio::buffer(all),
                    [me = shared_from_this(), done = std::move(done)](
                        const io_error& e, std::size_t n) { done(e, n); });
}

void upstream_connection::resume() {
  if (!paused_) return;
  paused_ = false;
  if (sink_) read();
}

void upstream_connection::give_up_connecting() {
  if (connecting_) end(upstream_end::connect_failed, false);
}

void upstream_connection::received(std::size_t bytes) {
  if (!sink_) {
    // Those of an exchange that was just abandoned were asked for.
    if (pooled_) note_unasked_bytes();
    return abandon();
  }
  answer_began_ = true;
  if (first_line_ != first_line::over && has_bare_cr({buffer_.data(), bytes})) {
    return end(upstream_end::not_http, false);
  }
  received_ = bytes;
  if (!ends_chunk({buffer_.data(), bytes})) return end(upstream_end::not_http, false);
  const auto me = shared_from_this();
  const bool body_had_begun = body_began_;
  body_parts_ = 0;
  const auto used = parse(bytes);
  if (!sink_) return;  // the sink abandoned us
  if (message_complete_ && has_switched_) {
    auto* const sink = std::exchange(sink_, nullptr);
    return sink->upstream_switched({buffer_.data() + used, bytes - used});
  }
  if (message_complete_) {
    if (used != bytes) note_unasked_bytes();
    return end(upstream_end::complete, used == bytes && may_go_on());
  }
  if (HTTP_PARSER_ERRNO(&parser_) != HPE_OK) return end(upstream_end::not_http, false);
  acknowledge(body_had_begun);
  read();
}

// A runtime that leaves Nagle's algorithm on keeps a small piece back until what it sent before is
// acknowledged, and the kernel takes its time for that. So we do it at once while a part of the
// answer is missing. (The kernel soon forgets that it was told to; each call acknowledges what has
// come.)
//
// The events of a stream would cost a fifth more that way. Of these we acknowledge at once what is
// late, as that cannot be many; and everything in a stream that came in a lump, several events
// after such a gap.
void upstream_connection::acknowledge(bool body_had_begun) {
  const bool is_stream = (parser_.flags & F_CHUNKED) != 0;
  if (is_stream && body_began_) {
    const auto now = std::chrono::steady_clock::now();
    const bool is_late = body_had_begun && now - read_at_ >= late_gap;
    read_at_ = now;
    is_lumpy_ = is_lumpy_ || (is_late && body_parts_ > 1);
    if (!is_late && !is_lumpy_) {
      if (std::exchange(acknowledges_at_once_, false)) socket_.acknowledge(false);
      return;
    }
  }
  acknowledges_at_once_ = true;
  socket_.acknowledge(true);
}

void upstream_connection::read_failed(bool is_end) {
  if (!sink_) return abandon();
  if (!answer_began_) return end(upstream_end::closed_unused, false);
  // The end of the connection may mark the end of the body (RFC 9112 6.3); a reset does not.
  if (is_end) http_parser_execute(&parser_, &callbacks(), nullptr, 0);
  if (sink_) end(message_complete_ ? upstream_end::complete_at_eof : upstream_end::broken, false);
}

void upstream_connection::end(upstream_end how, bool keep) {
  const auto me = shared_from_this();
  auto* sink = std::exchange(sink_, nullptr);
  if (!sink) return;
  // An answer may come before the whole request was sent. The write still uses the pieces, which
  // the sink may free now, so the connection is not kept.
  if (keep && !writing_ && !may_switch_ && may_be_kept()) {
    pool_.put_back(me);
  } else {
    abandon();
  }
  sink->upstream_ended(how);
}

void upstream_connection::abandon() {
  sink_ = nullptr;
  socket_.close();
  stop_counting();
  if (pooled_) pool_.forget(*this);
}

int upstream_connection::headers_complete() {
  constexpr int without_body = 1;
  if (is_interim(parser_.status_code)) {
    head_.clear();
    return without_body;
  }
  constexpr int refuse = -1;
  // The protocol comes behind the request.
  has_switched_ = may_switch_ && !writing_ && parser_.status_code == 101;
  if ((parser_.status_code < 200 && !has_switched_) || parser_.status_code > 599 ||
      parser_.http_major != 1) {
    return refuse;
  }
  head_.status = static_cast<int>(parser_.status_code);
  head_.end_hop();
  const bool is_chunked = (parser_.flags & F_CHUNKED) != 0;
  // Nobody knows where an answer in another coding ends.
  if (head_.has_odd_coding() || head_.has_coding() != is_chunked) return refuse;
  closes_ = head_.closes();  // the sink takes the head
  keep_idle_ = link().keep_idle();
  const auto promised = head_.promised();
  if (promised && keep_idle_ > duration::zero()) {
    keep_idle_ = std::max<duration>(*promised - promise_margin, duration::zero());
  }
  sink_->upstream_headers(head_);
  if (!sink_) return refuse;  // abandoned from within
  constexpr int is_last_of_http = 2;
  if (has_switched_) return is_last_of_http;
  const bool has_no_body = pieces_[0].starts_with("HEAD ") || has_no_body_with(parser_.status_code);
  return has_no_body ? without_body : 0;
}

const http_parser_settings& upstream_connection::callbacks() {
  static const http_parser_settings settings = [] {
    http_parser_settings s;
    http_parser_settings_init(&s);
    s.on_header_field = [](http_parser* p, const char* at, std::size_t n) {
      auto& head = self(p).head_;
      head.add_to_name({at, n});
      return head.bytes() > max_head_bytes ? 1 : 0;
    };
    s.on_header_value = [](http_parser* p, const char* at, std::size_t n) {
      auto& head = self(p).head_;
      head.add_to_value({at, n});
      return head.bytes() > max_head_bytes ? 1 : 0;
    };
    s.on_headers_complete = [](http_parser* p) { return self(p).headers_complete(); };
    s.on_body = [](http_parser* p, const char* at, std::size_t n) {
      auto& c = self(p);
      c.body_began_ = true;
      ++c.body_parts_;
      c.sink_->upstream_body({at, n});
      if (!c.sink_) return 1;
      if ((p->flags & F_CHUNKED) == 0 || p->content_length > 0) return 0;
      c.chunk_end_ = "\r\n";
      return c.ends_chunk({at + n, c.buffer_.data() + c.received_}) ? 0 : 1;
    };
    s.on_chunk_header = [](http_parser* p) {
      self(p).at_chunk_ = true;
      http_parser_pause(p, 1);
      return 0;
    };
    s.on_message_complete = [](http_parser* p) {
      auto& c = self(p);
      if (is_interim(p->status_code)) return 0;
      c.message_complete_ = true;
      http_parser_pause(p, 1);  // bytes after it would answer no request
      return 0;
    };
    return s;
  }();
  return settings;
}

}  // namespace signalbox::http
