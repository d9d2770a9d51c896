// Connections to runtimes with TLS: who is trusted, and that all else goes on as without it.
#include <boost/asio/ssl.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>

#include "http/serve/tls_socket.hpp"
#include "tests/certificates.hpp"
#include "tests/http/upstream_rig.hpp"

namespace signalbox::http {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// Answers each request with the bytes behind its head, over TLS.
class tls_echo {
 public:
  using tcp = asio::ip::tcp;

  tls_echo(asio::io_context& io, tls_context context)
      : context_(std::move(context)), acceptor_(io, {asio::ip::address_v4::loopback(), 0}) {
    accept();
  }

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void say(const std::string& bytes) { asio::write(last_->stream, asio::buffer(bytes)); }

  int connections = 0, requests = 0;
  std::string host;  // that the last connection was for

 private:
  struct session {
    session(tcp::socket socket, asio::ssl::context& context) : stream(std::move(socket), context) {}

    asio::ssl::stream<tcp::socket> stream;
    std::string unread, answer;
    std::array<char, 20'000> buffer{};
  };
  using session_ptr = std::shared_ptr<session>;

  void accept() {
    acceptor_.async_accept([this](const io_error& error, tcp::socket socket) {
      if (error) return;
      accept();
      auto one = std::make_shared<session>(std::move(socket), *context_);
      one->stream.async_handshake(asio::ssl::stream_base::server, [this, one](const io_error& e) {
        if (e) return;
        ++connections;
        const char* name =
            SSL_get_servername(one->stream.native_handle(), TLSEXT_NAMETYPE_host_name);
        host = name != nullptr ? name : "";
        last_ = one;
        read(one);
      });
    });
  }
  void read(const session_ptr& one) {
    one->stream.async_read_some(asio::buffer(one->buffer),
                                [this, one](const io_error& error, std::size_t bytes) {
                                  if (error) return;
                                  one->unread.append(one->buffer.data(), bytes);
                                  answer(one);
                                  read(one);
                                });
  }
  void answer(const session_ptr& one) {
    if (!one->unread.ends_with("end")) return;
    ++requests;
    const auto body = one->unread.substr(one->unread.find("\r\n\r\n") + 4);
    one->unread.clear();
    one->answer =
        "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    asio::async_write(one->stream, asio::buffer(one->answer),
                      [one](const io_error&, std::size_t) {});
  }

  tls_context context_;
  tcp::acceptor acceptor_;
  session_ptr last_;
};

struct made_certificate {
  scratch_folder folder;
  std::string file;
  tls_context context;

  explicit made_certificate(const std::string& names, std::time_t end = no_end) {
    const auto key = make_elliptic_key();
    file = folder.write("cert.pem", make_certificate(key, 1, 0, end, names));
    const auto report = config::read_certificate({file, folder.write("key.pem", pem_of_key(key))},
                                                 std::chrono::system_clock::now());
    context = make_tls_context(*report.pair);
  }
};

struct tls_upstream : upstream_fixture {
  void point_at(const tls_echo& server, const std::string& host, const std::string& authorities) {
    auto next = std::make_shared<backend_endpoint>(*place);
    next->host = host;
    next->port = server.port();
    next->trust = config::make_trust(authorities);
    next->incarnation++;
    place = next;
  }
  upstream_end send(const std::string& body, std::string& echo) {
    answer_recorder sink;
    pool.take(place, false)->send({"POST / HTTP/1.1\r\n\r\n", body, "", "end"}, sink);
    wait_for_end(sink);
    echo = sink.body;
    return *sink.end;
  }
};

// Owns the body that it sends.
struct owning_sink : answer_recorder {
  std::shared_ptr<const std::string> text = std::make_shared<std::string>(8 * 1024 * 1024, 'x');

  std::shared_ptr<const void> give_up_text() override { return std::exchange(text, nullptr); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(upstream_tls, tls_upstream)

// TLS goes on with a write whose handler is on its way, also after the socket was closed.
BOOST_AUTO_TEST_CASE(what_is_being_sent_lives_until_nobody_reads_it) {
  const made_certificate own("DNS:runtime.test");
  tls_echo server(io, own.context);
  point_at(server, "runtime.test", own.file);
  for (int turns = 0; turns < 20; ++turns) {
    owning_sink sink;
    const std::weak_ptr<const std::string> text = sink.text;
    auto connection = pool.take(place, true);
    connection->send({"POST / HTTP/1.1\r\n\r\n", *sink.text, "", "end"}, sink);
    run_until([&] { return sink.text == nullptr; });
    io.restart();
    for (int i = 0; i < turns; ++i) io.poll_one();
    connection->abandon();
    connection.reset();
    BOOST_TEST(!text.expired());
    run_what_is_ready();
    BOOST_TEST(text.expired());
  }
}

BOOST_AUTO_TEST_CASE(only_who_is_trusted_and_meant_gets_a_request) {
  struct attempt {
    std::string names;  // of the certificate
    std::time_t end;
    bool is_known;  // to us
    std::string host;
    bool works;
  };
  const attempt attempts[] = {
      {"DNS:runtime.test", no_end, true, "runtime.test", true},
      {"DNS:runtime.test,DNS:other.test", no_end, true, "other.test", true},
      {"DNS:*.box.test", no_end, true, "runtime.box.test", true},
      {"IP:127.0.0.1", no_end, true, "127.0.0.1", true},
      {"IP:0:0:0:0:0:0:0:1", no_end, true, "[::1]", true},
      {"DNS:runtime.test", no_end, true, "other.test", false},
      {"DNS:*.box.test", no_end, true, "deep.runtime.box.test", false},
      {"DNS:runtime.test", no_end, true, "127.0.0.1", false},
      {"IP:127.0.0.2", no_end, true, "127.0.0.1", false},
      {"", no_end, true, "127.0.0.1", false},
      {"DNS:runtime.test", no_end, false, "runtime.test", false},
      {"DNS:runtime.test", 1, true, "runtime.test", false},  // expired in 1970
  };
  for (const auto& one : attempts) {
    BOOST_TEST_CONTEXT(one.names << " for " << one.host) {
      const made_certificate own(one.names, one.end), other("DNS:x");
      tls_echo server(io, own.context);
      point_at(server, one.host, one.is_known ? own.file : other.file);
      std::string echo;
      const auto end = send("hello ", echo);
      BOOST_TEST((end == (one.works ? upstream_end::complete : upstream_end::connect_failed)));
      BOOST_TEST(server.requests == (one.works ? 1 : 0));
      BOOST_TEST(echo == (one.works ? "hello end" : ""));
      const bool is_name = one.host.ends_with(".test");
      if (one.works) BOOST_TEST(server.host == (is_name ? one.host : ""));  // RFC 6066 3
    }
  }
}

BOOST_AUTO_TEST_CASE(the_authorities_of_the_system_are_not_ours) {
  const made_certificate own("IP:127.0.0.1");
  tls_echo server(io, own.context);
  point_at(server, "127.0.0.1", "");
  std::string echo;
  BOOST_TEST((send("x", echo) == upstream_end::connect_failed));
}

BOOST_AUTO_TEST_CASE(who_speaks_no_tls_is_no_such_runtime) {
  const made_certificate own("IP:127.0.0.1");
  tls_echo server(io, own.context);
  point_at(server, "127.0.0.1", own.file);
  auto plain = std::make_shared<backend_endpoint>(*place);
  plain->port = runtime.port();
  place = plain;
  answer_recorder sink;
  const auto connection = pool.take(place, false);
  connection->send({"GET / HTTP/1.1\r\n\r\n"}, sink);
  run_until([this] { return runtime.connections == 1; });
  BOOST_TEST(!sink.end.has_value());
  connection->give_up_connecting();  // as after some seconds
  BOOST_TEST((sink.end == upstream_end::connect_failed));
  run_until([this] { return runtime.closed_by_caller == 1; });
  BOOST_TEST(runtime.requests.empty());
}

BOOST_AUTO_TEST_CASE(connections_are_kept_and_carry_much) {
  const made_certificate own("IP:127.0.0.1");
  tls_echo server(io, own.context);
  point_at(server, "127.0.0.1", own.file);
  std::string echo;
  for (const std::size_t size : {0u, 1u, 16'384u, 3'000'000u}) {
    BOOST_TEST((send(std::string(size, 'x'), echo) == upstream_end::complete));
    BOOST_TEST(echo.size() == size + 3);
  }
  BOOST_TEST(server.requests == 4);
  BOOST_TEST(server.connections == 1);

  server.say("unasked");
  run_until([this] { return link().open() == 0; });
  BOOST_TEST((send("x", echo) == upstream_end::complete));
  BOOST_TEST(server.connections == 2);
}

BOOST_AUTO_TEST_CASE(idle_ones_are_closed_in_time) {
  const made_certificate own("IP:127.0.0.1");
  tls_echo server(io, own.context);
  point_at(server, "127.0.0.1", own.file);
  keep_idle(1s);
  std::string echo;
  BOOST_TEST((send("x", echo) == upstream_end::complete));
  BOOST_TEST(link().open() == 1u);
  asio::use_service<socket_poller>(io).check_deadlines(std::chrono::steady_clock::now() + 2s);
  run_until([this] { return link().open() == 0; });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
