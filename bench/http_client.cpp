#include "bench/http_client.hpp"

#include <netinet/tcp.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <stdexcept>
#include <utility>

namespace signalbox::bench {

namespace {
constexpr std::size_t max_fetch_bytes = 64 << 20;  // kept of an answer

// Turned off: an acknowledgement for every second event of a stream would take time of a small
// machine from what is measured.
using quick_acknowledgement = asio::detail::socket_option::boolean<IPPROTO_TCP, TCP_QUICKACK>;

}  // namespace

target parse_target(const std::string& url) {
  http_parser_url parts;
  http_parser_url_init(&parts);
  const auto part = [&](http_parser_url_fields field) {
    const auto& at = parts.field_data[field];
    return (parts.field_set & (1 << field)) != 0 ? url.substr(at.off, at.len) : std::string();
  };
  if (http_parser_parse_url(url.data(), url.size(), 0, &parts) != 0 || part(UF_SCHEMA) != "http" ||
      (!part(UF_PATH).empty() && part(UF_PATH) != "/") || !part(UF_QUERY).empty()) {
    throw std::runtime_error("'" + url + "' is no URL of the form http://host:port");
  }
  const std::string port = part(UF_PORT).empty() ? "80" : part(UF_PORT);
  asio::io_context io;
  boost::system::error_code error;
  const auto found = tcp::resolver(io).resolve(part(UF_HOST), port, error);
  if (error || found.empty()) {
    throw std::runtime_error("no address for '" + url + "': " + error.message());
  }
  return {found.begin()->endpoint(), part(UF_HOST) + ":" + port};
}

std::string get_request(const target& to, const std::string& path, const std::string& key) {
  return "GET " + path + " HTTP/1.1\r\nHost: " + to.host + "\r\nAuthorization: Bearer " + key +
         "\r\n\r\n";
}

std::string post_request(const target& to, const std::string& path, const std::string& key,
                         std::string_view json) {
  std::string request =
      "POST " + path + " HTTP/1.1\r\nHost: " + to.host + "\r\nAuthorization: Bearer " + key +
      "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(json.size()) +
      "\r\n\r\n";
  request += json;
  return request;
}

const char* to_string(exchange_end end) {
  switch (end) {
    case exchange_end::complete:
      return "complete";
    case exchange_end::connect_failed:
      return "connection refused or failed";
    case exchange_end::timed_out:
      return "timed out";
    case exchange_end::closed_early:
      return "closed before the answer was complete";
    case exchange_end::malformed:
      return "malformed HTTP";
  }
  return "unknown";
}

http_connection::http_connection(asio::io_context& io, tcp::endpoint address)
    : address_(std::move(address)), socket_(io), deadline_(io) {}

const http_parser_settings& http_connection::parser_settings() {
  static const http_parser_settings settings = [] {
    http_parser_settings s;
    http_parser_settings_init(&s);
    static const auto of = [](http_parser* p) { return static_cast<http_connection*>(p->data); };
    s.on_header_field = [](http_parser* p, const char* at, std::size_t size) {
      if (of(p)->in_value_) of(p)->header_complete();
      of(p)->field_.append(at, size);
      return 0;
    };
    s.on_header_value = [](http_parser* p, const char* at, std::size_t size) {
      of(p)->in_value_ = true;
      of(p)->value_.append(at, size);
      return 0;
    };
    s.on_headers_complete = [](http_parser* p) {
      if (of(p)->in_value_) of(p)->header_complete();
      of(p)->listener_->status(p->status_code);
      return 0;
    };
    s.on_body = [](http_parser* p, const char* at, std::size_t size) {
      of(p)->listener_->body({at, size});
      return 0;
    };
    s.on_message_complete = [](http_parser* p) {
      of(p)->complete_ = true;
      of(p)->reusable_ = http_should_keep_alive(p) != 0;
      return 0;
    };
    return s;
  }();
  return settings;
}

void http_connection::start(std::string request, std::shared_ptr<exchange_listener> listener,
                            steady::duration timeout) {
  request_ = std::move(request);
  listener_ = std::move(listener);
  complete_ = reusable_ = in_value_ = false;
  field_.clear();
  value_.clear();
  http_parser_init(&parser_, HTTP_RESPONSE);
  parser_.data = this;
  deadline_.expires_after(timeout);
  deadline_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    // A cancelled wait of an earlier exchange can arrive late: the expiry tells them apart.
    if (!error && self->deadline_.expiry() <= steady::now()) self->finish(exchange_end::timed_out);
  });
  if (socket_.is_open()) return send();
  socket_.async_connect(address_,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          if (error) return self->finish(exchange_end::connect_failed);
                          boost::system::error_code ignored;
                          self->socket_.set_option(tcp::no_delay(true), ignored);
                          self->socket_.set_option(quick_acknowledgement(false), ignored);
                          self->send();
                        });
}

void http_connection::send() {
  writing_ = true;
  const auto written = [self = shared_from_this()](const boost::system::error_code& error,
                                                   std::size_t) {
    self->writing_ = false;
    if (error) self->finish(exchange_end::closed_early);
  };
  asio::async_write(socket_, asio::buffer(request_), written);
  receive();  // at once: an error answer may come before all of a large request is sent
}

void http_connection::receive() {
  socket_.async_read_some(
      asio::buffer(buffer_),
      [self = shared_from_this()](const boost::system::error_code& error, std::size_t size) {
        self->received(error, size);
      });
}

void http_connection::received(const boost::system::error_code& error, std::size_t size) {
  if (!listener_) return;
  if (error && error != asio::error::eof) return finish(exchange_end::closed_early);
  const auto used = http_parser_execute(&parser_, &parser_settings(), buffer_.data(), size);
  if (complete_) return finish(exchange_end::complete);
  if (error) return finish(exchange_end::closed_early);
  if (used != size || HTTP_PARSER_ERRNO(&parser_) != HPE_OK) {
    return finish(exchange_end::malformed);
  }
  receive();
}

void http_connection::header_complete() {
  listener_->header(field_, value_);
  field_.clear();
  value_.clear();
  in_value_ = false;
}

void http_connection::finish(exchange_end end) {
  if (!listener_) return;
  deadline_.cancel();
  reusable_ = reusable_ && !writing_ && end == exchange_end::complete;
  idle_since_ = steady::now();
  if (!reusable_) {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }
  std::exchange(listener_, nullptr)->ended(end);
}

answer fetch(const target& to, std::string request, steady::duration timeout) {
  struct collector : exchange_listener {
    answer result;
    void status(int code) override { result.status = code; }
    void body(std::string_view bytes) override {
      if (result.body.size() < max_fetch_bytes) result.body += bytes;
    }
    void ended(exchange_end end) override { result.end = end; }
  };
  asio::io_context io;
  const auto collected = std::make_shared<collector>();
  std::make_shared<http_connection>(io, to.address)->start(std::move(request), collected, timeout);
  io.run();
  return std::move(collected->result);
}

}  // namespace signalbox::bench
