#include "commands/gateway_client.hpp"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <utility>

#include "access/gateway_file.hpp"
#include "config/address.hpp"
#include "config/certificate.hpp"

namespace signalbox::commands {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;
using tls_stream = beast::ssl_stream<beast::tcp_stream>;

constexpr auto begin_timeout = std::chrono::seconds(30);  // of an answer that is a stream
constexpr std::uint64_t max_answer_bytes = 64 * 1024 * 1024;

struct target {
  config::address address;
  std::string key;
  std::string certificate_sha256;  // empty: the certificate must be trusted by this machine
};

config::address address_of(const std::string& url) {
  const bool is_plain = url.starts_with("http://");
  const auto parsed = config::parse_listen(is_plain ? url.substr(7) : url);
  if (!parsed || (!is_plain && !url.starts_with("https://")) || parsed->port == 0) {
    throw std::runtime_error("--url: found \"" + url +
                             "\", allowed http://HOST:PORT or https://HOST:PORT");
  }
  return *parsed;
}

using text_taker = std::function<void(std::string_view)>;

// One request on one connection. All steps have the same deadline, but for the body of a stream,
// and an error ends it.
class exchange {
 public:
  // `on_text` gets the body of a stream; it is empty where the answer is wanted whole.
  exchange(const target& to, const std::string& method, const std::string& path,
           const std::string& json, std::chrono::seconds patience, const text_taker& on_text)
      : to_(to), patience_(patience), on_text_(on_text) {
    request_.version(11);
    request_.method_string(method);
    request_.target(path);
    request_.set(beast::http::field::host, config::to_string({to.address.host, to.address.port}));
    request_.set(beast::http::field::authorization, "Bearer " + to.key);
    request_.set(beast::http::field::connection, "close");
    if (!json.empty()) request_.set(beast::http::field::content_type, "application/json");
    request_.body() = json;
    request_.prepare_payload();
    if (json.empty()) request_.content_length(0);
    if (on_text) {
      // Without any limit, Boost 1.74 refuses each answer that tells its length.
      parser_.body_limit(std::numeric_limits<std::uint64_t>::max());
    } else {
      parser_.body_limit(max_answer_bytes);
    }
    context_.set_default_verify_paths();
  }

  gateway_answer run() {
    if (to_.address.is_tls) {
      tls_stream stream(io_, context_);
      verify_peer(stream);
      connect(beast::get_lowest_layer(stream));
      wait([&](auto done) { stream.async_handshake(asio::ssl::stream_base::client, done); });
      talk(stream);
    } else {
      beast::tcp_stream stream(io_);
      connect(stream);
      talk(stream);
    }
    return {static_cast<int>(parser_.get().result_int()), std::move(parser_.get().body())};
  }

 private:
  void verify_peer(tls_stream& stream) {
    SSL_set_tlsext_host_name(stream.native_handle(), to_.address.host.c_str());
    stream.set_verify_mode(asio::ssl::verify_peer);
    if (to_.certificate_sha256.empty()) {
      stream.set_verify_callback(asio::ssl::host_name_verification(to_.address.host));
      return;
    }
    // The one that the gateway said is its own; who signed it does not matter.
    stream.set_verify_callback([this](bool, asio::ssl::verify_context& chain) {
      auto* store = chain.native_handle();
      return X509_STORE_CTX_get_error_depth(store) > 0 ||
             config::fingerprint(*X509_STORE_CTX_get_current_cert(store)) == to_.certificate_sha256;
    });
  }

  void connect(beast::tcp_stream& stream) {
    stream.expires_after(patience_);
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(to_.address.host, std::to_string(to_.address.port));
    wait([&](auto done) {
      stream.async_connect(found, [done](const auto& error, const auto&) { done(error); });
    });
  }

  template <class Stream>
  void talk(Stream& stream) {
    wait([&](auto done) {
      beast::http::async_write(stream, request_,
                               [done](const auto& error, std::size_t) { done(error); });
    });
    if (on_text_) return read_stream(stream);
    wait([&](auto done) {
      beast::http::async_read(stream, buffer_, parser_,
                              [done](const auto& error, std::size_t) { done(error); });
    });
  }

  template <class Stream>
  void read_stream(Stream& stream) {
    wait([&](auto done) {
      beast::http::async_read_header(stream, buffer_, parser_,
                                     [done](const auto& error, std::size_t) { done(error); });
    });
    const bool is_wanted = parser_.get().result() == beast::http::status::ok;
    if (is_wanted) beast::get_lowest_layer(stream).expires_never();
    while (!parser_.is_done()) {
      wait([&](auto done) {
        beast::http::async_read_some(stream, buffer_, parser_,
                                     [done](const auto& error, std::size_t) { done(error); });
      });
      if (is_wanted) give_text();
      if (parser_.get().body().size() > max_answer_bytes) {
        throw boost::system::system_error(
            beast::http::make_error_code(beast::http::error::body_limit));
      }
    }
    if (is_wanted) give_text();
  }

  void give_text() {
    auto& body = parser_.get().body();
    if (!body.empty()) on_text_(body);
    body.clear();
  }

  // The asynchronous calls are those that have a deadline.
  template <class Begin>
  void wait(Begin begin) {
    boost::system::error_code result;
    begin([&result](const boost::system::error_code& error) { result = error; });
    io_.restart();
    io_.run();
    if (result) throw boost::system::system_error(result);
  }

  const target& to_;
  const std::chrono::seconds patience_;
  const text_taker& on_text_;
  asio::io_context io_;
  asio::ssl::context context_{asio::ssl::context::tls_client};
  beast::http::request<beast::http::string_body> request_;
  beast::http::response_parser<beast::http::string_body> parser_;
  beast::flat_buffer buffer_;
};

std::runtime_error no_gateway(const std::string& data_dir) {
  return std::runtime_error("no gateway runs on the data folder " + data_dir +
                            "; start one, or name another with --url");
}

target target_of(const std::string& url, const std::string& key, const std::string& data_dir) {
  if (!url.empty()) {
    if (key.empty()) throw std::runtime_error("--url needs --key or SIGNALBOX_KEY");
    return {address_of(url), key, {}};
  }
  const auto file = read_gateway_file(data_dir);
  if (!file) throw no_gateway(data_dir);
  // The file may be a dead gateway's, and its address anybody's by now: no other key goes there.
  return {address_of(file->urls.front()), file->key, file->certificate_sha256};
}

}  // namespace

gateway_client::gateway_client(CLI::App& command, std::function<std::string()> data_dir)
    : options_(std::make_shared<options>()), data_dir_(std::move(data_dir)) {
  command
      .add_option("--url", options_->url,
                  "The gateway to ask, http://HOST:PORT; default: that of the data folder")
      ->envname("SIGNALBOX_URL");
  command.add_option("--key", options_->key, "A key of the gateway at --url, with scope admin")
      ->envname("SIGNALBOX_KEY");
}

gateway_answer gateway_client::send(const std::string& method, const std::string& path,
                                    const std::string& json, std::chrono::seconds patience) const {
  return ask(method, path, json, patience, {});
}

gateway_answer gateway_client::stream(const std::string& path, const text_taker& on_text) const {
  return ask("GET", path, {}, begin_timeout, on_text);
}

gateway_answer gateway_client::ask(const std::string& method, const std::string& path,
                                   const std::string& json, std::chrono::seconds patience,
                                   const text_taker& on_text) const {
  const auto data_dir = options_->url.empty() ? data_dir_() : std::string();
  const auto to = target_of(options_->url, options_->key, data_dir);
  try {
    return exchange(to, method, path, json, patience, on_text).run();
  } catch (const boost::system::system_error& e) {
    const bool is_refused = e.code() == boost::system::errc::connection_refused;
    if (is_refused && !data_dir.empty()) throw no_gateway(data_dir);
    throw std::runtime_error("the gateway at " + config::to_string(to.address) +
                             " does not answer: " + e.code().message());
  }
}

std::string error_text(const gateway_answer& answer) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  if (body.is_object() && body.contains("detail")) return body["detail"].get<std::string>();
  if (body.is_object() && body.contains("error")) return body["error"].value("message", "");
  return fmt::format("HTTP status {}: {}", answer.status, answer.body.substr(0, 200));
}

}  // namespace signalbox::commands
