#include "runtimes/http_probe.hpp"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "config/address.hpp"

namespace signalbox::runtimes {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr std::uint32_t max_header_bytes = 16 * 1024;

// A name server may be slow or away while a runtime whose address is known answers all the same.
constexpr auto lookup_patience = std::chrono::seconds(2);

// A connection has at least this long, however late its address was found.
constexpr auto connect_patience = std::chrono::seconds(2);

// Whether we could not even try.
bool is_our_lack(const boost::system::error_code& error) {
  namespace errc = boost::system::errc;
  return error == errc::too_many_files_open || error == errc::too_many_files_open_in_system ||
         error == errc::not_enough_memory || error == errc::no_buffer_space ||
         error == errc::address_not_available;
}

found_addresses in_order(found_addresses found, const std::string& known_text) {
  boost::system::error_code none;
  const auto known = asio::ip::make_address(known_text, none);
  if (none) return found;
  const auto at = std::find(found.begin(), found.end(), known);
  if (at == found.end()) {
    found.push_back(known);
  } else {
    std::rotate(found.begin(), at, at + 1);
  }
  return found;
}

class probe : public std::enable_shared_from_this<probe> {
 public:
  probe(asio::io_context& io, const probe_target& target, name_lookup lookup,
        std::function<void(const probe_result&)> on_result)
      : target_(target),
        stream_(io),
        lookup_(std::move(lookup)),
        lookup_timer_(io),
        buffer_(max_header_bytes),
        request_(http::verb::get, target.path, 11),
        on_result_(std::move(on_result)) {
    request_.set(http::field::host, config::to_string(config::address{target_.host, target_.port}));
    request_.set(http::field::connection, "close");
    if (!target_.api_key.empty()) {
      request_.set(http::field::authorization, "Bearer " + target_.api_key);
    }
    parser_.header_limit(max_header_bytes);
  }

  void begin(duration timeout) {
    stream_.expires_after(timeout);
    deadline_ = std::chrono::steady_clock::now() + timeout;
    boost::system::error_code is_name;
    const auto host = asio::ip::make_address(target_.host, is_name);
    if (!is_name) return connect({host});
    if (target_.host == "localhost") {
      return looked_up({}, {asio::ip::address_v4::loopback(), asio::ip::address_v6::loopback()});
    }
    const bool has_address = !target_.address.empty();
    lookup_timer_.expires_after(has_address ? std::min<duration>(timeout / 2, lookup_patience)
                                            : timeout);
    lookup_timer_.async_wait([self = shared_from_this()](const auto& error) {
      if (!error) self->looked_up(asio::error::host_not_found_try_again, {});
    });
    lookup_(target_.host, [self = shared_from_this()](const auto& error, found_addresses found) {
      self->looked_up(error, std::move(found));
    });
  }

 private:
  void looked_up(const boost::system::error_code& error, found_addresses found) {
    if (std::exchange(is_looked_up_, true)) return;
    lookup_timer_.cancel();
    found = in_order(std::move(found), target_.address);
    if (found.empty()) return finish(probe_outcome::failed, error.message());
    connect(found);
  }

  // Connects to the first address that listens.
  void connect(const found_addresses& addresses) {
    std::vector<tcp::endpoint> endpoints;
    for (const auto& address : addresses) endpoints.emplace_back(address, target_.port);
    // A late lookup has used the time up.
    const auto least = std::chrono::steady_clock::now() + connect_patience;
    if (is_looked_up_) stream_.expires_at(std::max(deadline_, least));
    stream_.async_connect(endpoints, [self = shared_from_this()](const auto& error,
                                                                 const tcp::endpoint& peer) {
      if (error) {
        return self->finish(is_our_lack(error) ? probe_outcome::not_tried : probe_outcome::failed,
                            error.message());
      }
      self->address_ = peer.address().to_string();
      if (!self->target_.trust) return self->ask(self->stream_);
      self->shake_hands();
    });
  }

  void shake_hands() {
    SSL_CTX_up_ref(target_.trust.get());
    asio::ssl::context trust(target_.trust.get());
    tls_.emplace(stream_, trust);
    if (!config::expect_host(tls_->native_handle(), target_.host)) {
      return finish(probe_outcome::failed, "no certificate can have this host's name");
    }
    tls_->async_handshake(asio::ssl::stream_base::client,
                          [self = shared_from_this()](const auto& error) {
                            if (error) return self->fail(error);
                            self->ask(*self->tls_);
                          });
  }

  template <typename Stream>
  void ask(Stream& stream) {
    http::async_write(stream, request_,
                      [self = shared_from_this(), &stream](const auto& error, std::size_t) {
                        if (error) return self->fail(error);
                        self->read(stream);
                      });
  }
  template <typename Stream>
  void read(Stream& stream) {
    http::async_read_header(
        stream, buffer_, parser_, [self = shared_from_this()](const auto& error, std::size_t) {
          if (error) return self->fail(error);
          const auto status = self->parser_.get().result_int();
          if (status == 200) return self->finish(probe_outcome::ok, {});
          self->finish(probe_outcome::other_status, "HTTP status " + std::to_string(status));
        });
  }
  void fail(const boost::system::error_code& error) {
    const auto problem = tls_ ? config::certificate_problem(tls_->native_handle()) : std::string();
    finish(error == beast::error::timeout ? probe_outcome::timed_out : probe_outcome::failed,
           error.message() + (problem.empty() ? "" : ": " + problem));
  }
  void finish(probe_outcome outcome, const std::string& why) {
    on_result_({outcome, address_, why});
  }

  const probe_target target_;
  std::string address_;
  std::chrono::steady_clock::time_point deadline_{};
  beast::tcp_stream stream_;
  std::optional<asio::ssl::stream<beast::tcp_stream&>> tls_;
  name_lookup lookup_;
  asio::steady_timer lookup_timer_;
  bool is_looked_up_ = false;
  beast::flat_buffer buffer_;
  http::request<http::empty_body> request_;
  http::response_parser<http::empty_body> parser_;
  std::function<void(const probe_result&)> on_result_;
};

}  // namespace

void probe_http(asio::io_context& io, const probe_target& target, duration timeout,
                std::function<void(const probe_result&)> on_result, name_lookup lookup) {
  std::make_shared<probe>(io, target, std::move(lookup), std::move(on_result))->begin(timeout);
}

}  // namespace signalbox::runtimes
