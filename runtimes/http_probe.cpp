#include "runtimes/http_probe.hpp"

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <memory>

#include "config/address.hpp"

namespace signalbox::runtimes {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr std::uint32_t header_limit = 16 * 1024;

class probe : public std::enable_shared_from_this<probe> {
 public:
  probe(asio::io_context& io, std::string host, std::uint16_t port, const std::string& path,
        std::function<void(probe_outcome)> on_outcome)
      : host_(std::move(host)),
        port_(port),
        stream_(io),
        resolver_(io),
        buffer_(header_limit),
        request_(http::verb::get, path, 11),
        on_outcome_(std::move(on_outcome)) {
    request_.set(http::field::host, config::to_string(config::address{host_, port_}));
    request_.set(http::field::connection, "close");
    parser_.header_limit(header_limit);
  }

  void begin(duration timeout) {
    stream_.expires_after(timeout);
    boost::system::error_code error;
    const auto address = asio::ip::make_address(host_, error);
    if (!error) return connect(std::array{tcp::endpoint(address, port_)});
    resolver_.async_resolve(host_, std::to_string(port_),
                            [self = shared_from_this()](const auto& failure, const auto& found) {
                              if (failure) return self->finish(probe_outcome::failed);
                              self->connect(found);
                            });
  }

 private:
  // To the first of these that listens.
  template <typename Endpoints>
  void connect(const Endpoints& endpoints) {
    stream_.async_connect(endpoints,
                          [self = shared_from_this()](const auto& error, const tcp::endpoint&) {
                            if (error) return self->finish(probe_outcome::failed);
                            self->write();
                          });
  }
  void write() {
    http::async_write(stream_, request_,
                      [self = shared_from_this()](const auto& error, std::size_t) {
                        if (error) return self->fail(error);
                        self->read();
                      });
  }
  void read() {
    http::async_read_header(stream_, buffer_, parser_,
                            [self = shared_from_this()](const auto& error, std::size_t) {
                              if (error) return self->fail(error);
                              const bool ok = self->parser_.get().result() == http::status::ok;
                              self->finish(ok ? probe_outcome::ok : probe_outcome::other_status);
                            });
  }
  void fail(const boost::system::error_code& error) {
    finish(error == beast::error::timeout ? probe_outcome::timed_out : probe_outcome::failed);
  }
  void finish(probe_outcome outcome) { on_outcome_(outcome); }

  std::string host_;
  std::uint16_t port_;
  beast::tcp_stream stream_;
  tcp::resolver resolver_;
  beast::flat_buffer buffer_;
  http::request<http::empty_body> request_;
  http::response_parser<http::empty_body> parser_;
  std::function<void(probe_outcome)> on_outcome_;
};

}  // namespace

void probe_http(asio::io_context& io, const std::string& host, std::uint16_t port,
                const std::string& path, duration timeout,
                std::function<void(probe_outcome)> on_outcome) {
  std::make_shared<probe>(io, host, port, path, std::move(on_outcome))->begin(timeout);
}

}  // namespace signalbox::runtimes
