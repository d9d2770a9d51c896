#include "http/serve/tls_socket.hpp"

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "tests/certificates.hpp"

namespace signalbox::http {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using namespace std::chrono_literals;

tls_context context_with(long serial) {
  const scratch_folder folder;
  const auto key = make_elliptic_key();
  const auto report =
      config::read_certificate({folder.write("cert.pem", make_certificate(key, serial)),
                                folder.write("key.pem", pem_of_key(key))},
                               std::chrono::system_clock::now());
  return make_tls_context(*report.pair);
}

struct tls_loop : asio::io_context {
  using asio::execution_context::shutdown;
};

using client_stream = ssl::stream<tcp::socket>;

// An accepted socket of ours and the client that connected to it.
struct tls_pair {
  ssl::context any{ssl::context::tls_client};
  client_stream client;
  std::unique_ptr<tls_socket> ours;
  std::optional<io_error> accepted, connected;

  explicit tls_pair(asio::io_context& io)
      : client(io, any), ours(std::make_unique<tls_socket>(io)) {
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    client.next_layer().connect(acceptor.local_endpoint());
    acceptor.accept(ours->lowest_layer());
  }
  void accept() {
    ours->handshake([this](const io_error& error) { accepted = error; });
    BOOST_TEST(!accepted);
  }
  void connect() {
    client.async_handshake(ssl::stream_base::client,
                           [this](const io_error& error) { connected = error; });
  }
  long serial_seen() {
    const std::unique_ptr<X509, decltype(&X509_free)> seen(
        SSL_get1_peer_certificate(client.native_handle()), X509_free);
    return ASN1_INTEGER_get(X509_get0_serialNumber(seen.get()));
  }
};

struct tls_fixture {
  tls_loop io;
  tls_identity& identity = asio::use_service<tls_identity>(io);
  std::array<char, 64> buffer{};
  std::optional<io_error> read_error;

  tls_fixture() {
    identity.show(context_with(1));
    identity.set_handshake_timeout(1h);
  }

  void run_until(const std::function<bool()>& done) {
    io.restart();
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      BOOST_REQUIRE(std::chrono::steady_clock::now() < deadline);
      io.run_one_for(100ms);
    }
  }
  std::unique_ptr<tls_pair> make_connection() {
    auto made = std::make_unique<tls_pair>(io);
    made->accept();
    made->connect();
    run_until([&] { return made->accepted && made->connected; });
    BOOST_TEST(!*made->accepted);
    BOOST_TEST(!*made->connected);
    return made;
  }
  void exchange(tls_pair& one, const std::string& text) {
    std::string received(text.size(), '\0');
    std::optional<io_error> sent, got;
    asio::async_write(one.client, asio::buffer(text),
                      [&](const io_error& error, std::size_t) { sent = error; });
    asio::async_read(*one.ours, asio::buffer(received),
                     [&](const io_error& error, std::size_t) { got = error; });
    run_until([&] { return sent && got; });
    BOOST_TEST(!*sent);
    BOOST_TEST(!*got);
    BOOST_TEST((received == text));
  }
  void read(tls_socket& socket) {
    read_error.reset();
    socket.async_read_some(asio::buffer(buffer),
                           [this](const io_error& error, std::size_t) { read_error = error; });
    BOOST_TEST(!read_error);  // never from within
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(tls_sockets, tls_fixture)

// More than the sockets hold, in pieces smaller and larger than a record, while a read waits.
BOOST_AUTO_TEST_CASE(what_is_sent_arrives_both_ways) {
  auto one = make_connection();
  exchange(*one, "hello");
  read(*one->ours);
  const std::string small(100, 's'), large(8 * 1024 * 1024, 'l'), medium(20'000, 'm');
  std::string received(small.size() + large.size() + medium.size(), '\0');
  std::optional<io_error> sent, got;
  const std::vector<asio::const_buffer> pieces{asio::buffer(small), asio::buffer(large),
                                               asio::const_buffer(), asio::buffer(medium)};
  asio::async_write(*one->ours, pieces, [&](const io_error& error, std::size_t) { sent = error; });
  for (int i = 0; i < 100; ++i) io.poll_one();
  BOOST_TEST(!sent);  // waits for room
  asio::async_read(one->client, asio::buffer(received),
                   [&](const io_error& error, std::size_t) { got = error; });
  run_until([&] { return sent && got; });
  BOOST_TEST(!*sent);
  BOOST_TEST((received == small + large + medium));
  BOOST_TEST(!read_error);
  asio::write(one->client, asio::buffer("now", 3));
  run_until([&] { return read_error.has_value(); });
  BOOST_TEST(!*read_error);
  BOOST_TEST(std::string(buffer.data(), 3) == "now");
}

BOOST_AUTO_TEST_CASE(the_end_is_told_to_the_peer) {
  auto one = make_connection();
  io_error error;
  one->ours->shutdown(tcp::socket::shutdown_both, error);
  BOOST_TEST(!error);
  one->ours->close();
  BOOST_TEST(!one->ours->is_open());
  std::optional<io_error> end;
  one->client.async_read_some(asio::buffer(buffer),
                              [&](const io_error& e, std::size_t) { end = e; });
  run_until([&] { return end.has_value(); });
  BOOST_TEST((*end == asio::error::eof));  // and not ssl::error::stream_truncated
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_is_noticed) {
  for (const bool politely : {true, false}) {
    auto one = make_connection();
    read(*one->ours);
    std::optional<io_error> left;
    if (politely) {
      one->client.async_shutdown([&](const io_error& error) { left = error; });
    } else {
      one->client.next_layer().close();
    }
    run_until([this] { return read_error.has_value(); });
    BOOST_TEST(read_error->failed());
    BOOST_TEST((*read_error == asio::error::eof) == politely);
    one->ours->close();
    run_until([&] { return !politely || left; });
  }
}

BOOST_AUTO_TEST_CASE(a_client_without_tls_is_refused) {
  tls_pair one(io);
  asio::write(one.client.next_layer(), asio::buffer(std::string("GET / HTTP/1.1\r\n\r\n")));
  one.accept();
  run_until([&] { return one.accepted.has_value(); });
  BOOST_TEST(one.accepted->failed());
  io_error ignored;
  one.ours->shutdown(tcp::socket::shutdown_both, ignored);
  one.ours->close();
}

BOOST_AUTO_TEST_CASE(a_client_that_knows_old_versions_only_is_refused) {
  tls_pair one(io);
  SSL_set_max_proto_version(one.client.native_handle(), TLS1_1_VERSION);
  SSL_set_security_level(one.client.native_handle(), 0);
  SSL_CTX_set_security_level(identity.context().native_handle(), 0);
  one.accept();
  one.connect();
  run_until([&] { return one.accepted && one.connected; });
  BOOST_TEST(one.accepted->failed());
}

BOOST_AUTO_TEST_CASE(a_handshake_has_a_limit) {
  identity.set_handshake_timeout(50ms);
  tls_pair silent(io);
  silent.accept();
  run_until([&] { return silent.accepted.has_value(); });
  BOOST_TEST(silent.accepted->failed());
  BOOST_TEST(!silent.ours->is_open());
}

BOOST_AUTO_TEST_CASE(a_new_certificate_is_for_new_connections) {
  auto first = make_connection();
  BOOST_TEST(first->serial_seen() == 1);
  auto waiting = std::make_unique<tls_pair>(io);  // accepted, no more
  identity.show(context_with(2));
  exchange(*first, "goes on");
  auto second = make_connection();
  BOOST_TEST(second->serial_seen() == 2);
  waiting->accept();
  waiting->connect();
  run_until([&] { return waiting->accepted && waiting->connected; });
  BOOST_TEST(waiting->serial_seen() == 2);
  exchange(*first, "and on");
}

// A handler keeps the socket alive that it waits for, as in the connections of RESTinio.
BOOST_AUTO_TEST_CASE(the_end_of_the_loop_drops_what_waits) {
  std::shared_ptr<tls_pair> reading = make_connection();
  auto greeting = std::make_shared<tls_pair>(io);
  reading->ours->async_read_some(asio::buffer(buffer), [reading](const io_error&, std::size_t) {});
  greeting->ours->handshake([greeting](const io_error&) {});
  const std::weak_ptr<tls_pair> first = reading, second = greeting;
  reading.reset();
  greeting.reset();
  io.poll();
  BOOST_TEST(!first.expired());
  BOOST_TEST(!second.expired());
  io.shutdown();
  BOOST_TEST(first.expired());
  BOOST_TEST(second.expired());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
