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

constexpr std::uint32_t max_header_bytes = 16 * 1024;

class probe : public std::enable_shared_from_this<probe> {
 public:
  probe(asio::io_context& io, const probe_target& target,
        std::function<void(const probe_result&)> on_result)
      : target_(target),
        stream_(io),
        resolver_(io),
        buffer_(max_header_bytes),
        request_(http::verb::get, target.path, 11),
        on_result_(std::move(on_result)) {
    request_.set(http::field::host, config::to_string(config::address{target_.host, target_.port}));
    request_.set(http::field::connection, "close");
    parser_.header_limit(max_header_bytes);
  }

  void begin(duration timeout) {
    stream_.expires_after(timeout);
    boost::system::error_code error;
    const auto& known = target_.address.empty() ? target_.host : target_.address;
    const auto address = asio::ip::make_address(known, error);
    if (!error) return connect(std::array{tcp::endpoint(address, target_.port)});
    resolver_.async_resolve(target_.host, std::to_string(target_.port),
                            [self = shared_from_this()](const auto& failure, const auto& found) {
                              if (failure) {
                                return self->finish(probe_outcome::failed, failure.message());
                              }
                              self->connect(found);
                            });
  }

 private:
  // Connects to the first address that listens.
  template <typename Endpoints>
  void connect(const Endpoints& endpoints) {
    stream_.async_connect(
        endpoints, [self = shared_from_this()](const auto& error, const tcp::endpoint& peer) {
          if (error) return self->finish(probe_outcome::failed, error.message());
          self->address_ = peer.address().to_string();
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
    http::async_read_header(
        stream_, buffer_, parser_, [self = shared_from_this()](const auto& error, std::size_t) {
          if (error) return self->fail(error);
          const auto status = self->parser_.get().result_int();
          if (status == 200) return self->finish(probe_outcome::ok, {});
          self->finish(probe_outcome::other_status, "HTTP status " + std::to_string(status));
        });
  }
  void fail(const boost::system::error_code& error) {
    finish(error == beast::error::timeout ? probe_outcome::timed_out : probe_outcome::failed,
           error.message());
  }
  void finish(probe_outcome outcome, const std::string& why) {
    on_result_({outcome, address_, why});
  }

  const probe_target target_;
  std::string address_;
  beast::tcp_stream stream_;
  tcp::resolver resolver_;
  beast::flat_buffer buffer_;
  http::request<http::empty_body> request_;
  http::response_parser<http::empty_body> parser_;
  std::function<void(const probe_result&)> on_result_;
};

}  // namespace

void probe_http(asio::io_context& io, const probe_target& target, duration timeout,
                std::function<void(const probe_result&)> on_result) {
  std::make_shared<probe>(io, target, std::move(on_result))->begin(timeout);
}

}  // namespace signalbox::runtimes
