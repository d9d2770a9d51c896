#include "http/proxy/upstream.hpp"

#include <netinet/tcp.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>
#include <tuple>
#include <utility>

namespace signalbox::http {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::size_t max_head_bytes = 64 * 1024;

// The queue of a runtime that died has called its credits back within this time.
constexpr auto suspicion = std::chrono::milliseconds(100);

// It is switched off, so that the kernel acknowledges every second event of a stream instead of
// each one at once. That was a fifth of an event's cost.
using quick_acknowledgement = asio::detail::socket_option::boolean<IPPROTO_TCP, TCP_QUICKACK>;

upstream_connection& self(http_parser* parser) {
  return *static_cast<upstream_connection*>(parser->data);
}

}  // namespace

void upstream_head::clear() {
  status = 0;
  text_.clear();
  fields_.clear();
  value_began_ = true;
}

// The parser gives a name or a value in parts if it came in parts from the network.
void upstream_head::add_to_name(std::string_view part) {
  const auto at = static_cast<std::uint32_t>(text_.size());
  if (value_began_) {
    if (fields_.empty()) {
      text_.reserve(512);
      fields_.reserve(16);
    }
    fields_.push_back({at, at, at});
    value_began_ = false;
  }
  text_.append(part);
  fields_.back().value = fields_.back().end = static_cast<std::uint32_t>(text_.size());
}

void upstream_head::add_to_value(std::string_view part) {
  value_began_ = true;
  text_.append(part);
  fields_.back().end = static_cast<std::uint32_t>(text_.size());
}

upstream_connection::upstream_connection(upstream_pool& pool, endpoint_ptr endpoint)
    : pool_(pool), endpoint_(std::move(endpoint)), socket_(pool.io_) {}

void upstream_connection::send(const gathered_pieces& pieces, upstream_sink& sink) {
  sink_ = &sink;
  ++exchanges_;
  pieces_ = pieces;
  head_.clear();
  message_complete_ = answer_began_ = paused_ = false;
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
  const auto address = asio::ip::make_address(endpoint_->address, error);
  auto failed = [me = shared_from_this()] { me->end(upstream_end::connect_failed, false); };
  if (error) {
    asio::post(socket_.get_executor(), failed);
    return;
  }
  connecting_ = true;
  socket_.async_connect(tcp::endpoint(address, endpoint_->port),
                        [me = shared_from_this()](boost::system::error_code e) {
                          me->connecting_ = false;
                          if (!me->sink_) return;
                          if (e) return me->end(upstream_end::connect_failed, false);
                          boost::system::error_code ignored;
                          me->socket_.set_option(tcp::no_delay(true), ignored);
                          me->socket_.set_option(quick_acknowledgement(false), ignored);
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
    // A failed write shows as a failed read, after an answer that came early (such as a 413).
    asio::async_write(socket_, buffers,
                      [me = shared_from_this()](boost::system::error_code, std::size_t) {
                        me->writing_ = false;
                      });
  }
  read();
}

void upstream_connection::read() {
  if (reading_ || paused_) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(buffer_),
                          [me = shared_from_this()](boost::system::error_code e, std::size_t n) {
                            me->reading_ = false;
                            if (e) return me->closed_by_peer();
                            me->received(n);
                          });
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
  // A runtime that sends bytes without a request has its connection closed.
  if (!sink_) return abandon();
  answer_began_ = true;
  const auto me = shared_from_this();
  const auto used = http_parser_execute(&parser_, &callbacks(), buffer_.data(), bytes);
  if (!sink_) return;  // the sink abandoned us
  if (message_complete_) {
    return end(upstream_end::complete, used == bytes && http_should_keep_alive(&parser_) != 0);
  }
  if (HTTP_PARSER_ERRNO(&parser_) != HPE_OK) return end(upstream_end::not_http, false);
  read();
}

void upstream_connection::closed_by_peer() {
  if (!sink_) return abandon();
  if (!answer_began_) return end(upstream_end::closed_unused, false);
  // The end of the connection may mark the end of the body (RFC 9112 6.3).
  http_parser_execute(&parser_, &callbacks(), nullptr, 0);
  if (sink_) end(message_complete_ ? upstream_end::complete_at_eof : upstream_end::broken, false);
}

void upstream_connection::end(upstream_end how, bool keep) {
  const auto me = shared_from_this();
  auto* sink = std::exchange(sink_, nullptr);
  if (!sink) return;
  // An answer may come before the whole request was sent. The write still uses the pieces, which
  // the sink may free now, so the connection is not kept.
  if (keep && !writing_) {
    paused_ = false;
    read();  // so that a close by the runtime is seen while idle
    pool_.put_back(me);
  } else {
    abandon();
  }
  sink->upstream_ended(how);
}

void upstream_connection::abandon() {
  sink_ = nullptr;
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (pooled_) pool_.forget(*this);
}

int upstream_connection::headers_complete() {
  // 100 Continue and other 1xx are not the answer.
  if (parser_.status_code >= 100 && parser_.status_code < 200) {
    head_.clear();
    return 0;
  }
  head_.status = static_cast<int>(parser_.status_code);
  sink_->upstream_headers(head_);
  if (!sink_) return -1;  // abandoned from within
  const bool has_no_body = pieces_[0].starts_with("HEAD ");
  return has_no_body ? 1 : 0;
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
      c.sink_->upstream_body({at, n});
      return c.sink_ ? 0 : 1;
    };
    s.on_message_complete = [](http_parser* p) {
      auto& c = self(p);
      if (p->status_code >= 100 && p->status_code < 200) return 0;
      c.message_complete_ = true;
      http_parser_pause(p, 1);  // bytes after it would answer no request
      return 0;
    };
    return s;
  }();
  return settings;
}

upstream_pool::upstream_pool(asio::io_context& io) : io_(io) {}

upstream_pool::~upstream_pool() {
  close_all();
}

upstream_connection_ptr upstream_pool::take(const endpoint_ptr& endpoint, bool fresh) {
  auto& slot = slots_[endpoint->backend];
  if (endpoint->incarnation > slot.incarnation) {
    auto old = std::exchange(slot.idle, {});
    for (auto& connection : old) {
      connection->pooled_ = false;
      connection->abandon();
    }
    slot.incarnation = endpoint->incarnation;
  }
  if (fresh || slot.idle.empty() || endpoint->incarnation < slot.incarnation) {
    return std::make_shared<upstream_connection>(*this, endpoint);
  }
  auto connection = std::move(slot.idle.back());
  slot.idle.pop_back();
  connection->pooled_ = false;
  return connection;
}

void upstream_pool::suspect(const endpoint_ptr& endpoint, time_point now) {
  // Backends that are gone have left their entries.
  std::erase_if(slots_, [now](const auto& slot) {
    return slot.second.idle.empty() && now >= slot.second.suspect_until;
  });
  auto& slot = slots_[endpoint->backend];
  slot.suspect = endpoint->incarnation;
  slot.suspect_until = now + suspicion;
}

bool upstream_pool::is_suspect(const endpoint_ptr& endpoint, time_point now) const {
  const auto slot = slots_.find(endpoint->backend);
  return slot != slots_.end() && slot->second.suspect == endpoint->incarnation &&
         now < slot->second.suspect_until;
}

void upstream_pool::put_back(upstream_connection_ptr connection) {
  auto& slot = slots_[connection->endpoint_->backend];
  const bool current = connection->endpoint_->incarnation == slot.incarnation;
  if (!current || slot.idle.size() >= max_idle) return connection->abandon();
  connection->pooled_ = true;
  slot.idle.push_back(std::move(connection));
}

void upstream_pool::forget(const upstream_connection& connection) {
  const auto slot = slots_.find(connection.endpoint_->backend);
  if (slot == slots_.end()) return;
  auto& idle = slot->second.idle;
  std::erase_if(idle, [&](const auto& other) { return other.get() == &connection; });
}

void upstream_pool::close_all() {
  const auto all = std::exchange(slots_, {});
  for (const auto& [backend, slot] : all) {
    for (const auto& connection : slot.idle) {
      connection->pooled_ = false;
      connection->abandon();
    }
  }
}

}  // namespace signalbox::http
