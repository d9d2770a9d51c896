// Probes of runtimes elsewhere: what they send, whom they trust, and which of a name's addresses
// they take.
#include "runtimes/http_probe.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtimes/external_driver.hpp"
#include "tests/certificates.hpp"
#include "tests/runtimes/support.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using namespace signalbox::runtimes::testing;
using namespace std::chrono_literals;

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// Answers every request with 200, on the loop of the test.
class answering_server {
 public:
  explicit answering_server(asio::io_context& io, const std::string& address = "127.0.0.1",
                            std::uint16_t port = 0)
      : acceptor_(std::make_unique<tcp::acceptor>(
            io, tcp::endpoint(asio::ip::make_address(address), port))) {
    accept();
  }

  std::uint16_t port() const { return acceptor_->local_endpoint().port(); }
  void use_tls(const std::string& certificate, const std::string& key) {
    tls_.emplace(asio::ssl::context::tls_server);
    tls_->use_certificate(asio::buffer(certificate), asio::ssl::context::pem);
    tls_->use_private_key(asio::buffer(key), asio::ssl::context::pem);
  }
  void stop() { acceptor_.reset(); }

  std::string head;  // of the last request

 private:
  template <typename Stream>
  struct session {
    Stream stream;
    std::string text;
  };

  void accept() {
    acceptor_->async_accept([this](const auto& error, tcp::socket socket) {
      if (error) return;
      if (tls_) {
        using stream = asio::ssl::stream<tcp::socket>;
        auto one = std::make_shared<session<stream>>(
            session<stream>{stream(std::move(socket), *tls_), {}});
        one->stream.async_handshake(asio::ssl::stream_base::server, [this, one](const auto& e) {
          if (!e) answer(one);
        });
      } else {
        answer(std::make_shared<session<tcp::socket>>(session<tcp::socket>{std::move(socket), {}}));
      }
      accept();
    });
  }
  template <typename Session>
  void answer(std::shared_ptr<Session> one) {
    asio::async_read_until(one->stream, asio::dynamic_buffer(one->text), "\r\n\r\n",
                           [this, one](const auto& error, std::size_t) {
                             if (error) return;
                             head = one->text;
                             one->text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                             asio::async_write(one->stream, asio::buffer(one->text),
                                               [one](const auto&, std::size_t) {});
                           });
  }

  std::unique_ptr<tcp::acceptor> acceptor_;
  std::optional<asio::ssl::context> tls_;
};

// A name server that says what the test tells it to; nothing when there is no answer.
struct scripted_names {
  asio::io_context& io;
  std::optional<std::vector<std::string>> answer;

  name_lookup lookup() {
    return [this](const std::string&, lookup_callback on_found) {
      if (!answer) return;
      asio::post(io, [this, on_found = std::move(on_found)] {
        found_addresses found;
        for (const auto& text : *answer) found.push_back(asio::ip::make_address(text));
        on_found(found.empty() ? asio::error::host_not_found : boost::system::error_code(), found);
      });
    };
  }
};

// A name server that keeps whoever asks for a name that begins with `slow` waiting, and knows all
// other names.
class slow_names {
 public:
  name_finder::blocking_lookup lookup() {
    return [this](const std::string& host, boost::system::error_code&) {
      std::unique_lock lock(mutex_);
      ++asked_[host];
      changed_.wait_for(lock, patience, [&] { return goes_on_ || !host.starts_with("slow"); });
      return found_addresses{asio::ip::address_v4::loopback()};
    };
  }
  void answer_all() {
    const std::lock_guard lock(mutex_);
    goes_on_ = true;
    changed_.notify_all();
  }
  int asked(const std::string& host) {
    const std::lock_guard lock(mutex_);
    return asked_[host];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool goes_on_ = false;
  std::map<std::string, int> asked_;
};

struct probing {
  asio::io_context io;
  scripted_names names{io, {}};

  void run_until(const std::function<bool()>& done) {
    io.restart();
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      BOOST_REQUIRE(std::chrono::steady_clock::now() < deadline);
      io.run_one_for(100ms);
    }
  }
  probe_result probe(const probe_target& target, duration timeout = 10s) {
    std::optional<probe_result> result;
    probe_http(
        io, target, timeout, [&](const probe_result& r) { result = r; }, names.lookup());
    run_until([&] { return result.has_value(); });
    return *result;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(probes, probing)

BOOST_AUTO_TEST_CASE(a_probe_carries_the_path_and_the_key) {
  answering_server server(io);
  const auto host = "Host: 127.0.0.1:" + std::to_string(server.port());
  probe_target target{.host = "127.0.0.1", .port = server.port(), .path = "/openai/v1/models"};
  BOOST_TEST((probe(target).outcome == probe_outcome::ok));
  BOOST_TEST(server.head ==
             "GET /openai/v1/models HTTP/1.1\r\n" + host + "\r\nConnection: close\r\n\r\n");
  target.api_key = "rk-1";
  BOOST_TEST((probe(target).outcome == probe_outcome::ok));
  BOOST_TEST(server.head.find("\r\nAuthorization: Bearer rk-1\r\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(only_the_certificate_of_the_host_is_accepted) {
  const scratch_folder folder;
  const auto key = make_elliptic_key();
  const auto certificate = make_certificate(key, 1, 0, no_end, "DNS:runtime.test,IP:127.0.0.1");
  const auto own = folder.write("own.pem", certificate);
  const auto other = folder.write("other.pem", make_certificate(make_elliptic_key(), 2));
  answering_server server(io);
  server.use_tls(certificate, pem_of_key(key));
  names.answer = {"127.0.0.1"};
  const auto ask = [&](const std::string& host, const std::string& authorities) {
    return probe({.host = host,
                  .port = server.port(),
                  .path = "/",
                  .trust = config::make_trust(authorities)});
  };
  BOOST_TEST((ask("runtime.test", own).outcome == probe_outcome::ok));
  BOOST_TEST((ask("127.0.0.1", own).outcome == probe_outcome::ok));
  server.head.clear();
  for (const auto& [host, authorities] :
       {std::pair{"other.test", own}, {"runtime.test", other}, {"runtime.test", std::string()}}) {
    const auto refused = ask(host, authorities);
    BOOST_TEST((refused.outcome == probe_outcome::failed));
    BOOST_TEST(refused.why.find("certificate verify failed") != std::string::npos, refused.why);
    BOOST_TEST(refused.address == "127.0.0.1");
  }
  BOOST_TEST(server.head == "");
  const auto plain = probe({.host = "127.0.0.1", .port = server.port(), .path = "/"});
  BOOST_TEST((plain.outcome != probe_outcome::ok));
}

BOOST_AUTO_TEST_CASE(the_address_that_answered_is_kept_while_the_name_has_it) {
  answering_server first(io), second(io, "127.0.0.2", first.port());
  probe_target target{.host = "runtime.test", .port = first.port(), .path = "/"};
  struct step {
    std::optional<std::vector<std::string>> found;
    std::string known, taken;
  };
  const step steps[] = {
      {{{"127.0.0.1", "127.0.0.2"}}, "", "127.0.0.1"},
      {{{"127.0.0.2", "127.0.0.1"}}, "127.0.0.1", "127.0.0.1"},
      {{{"127.0.0.2"}}, "127.0.0.1", "127.0.0.2"},
      {{{"127.0.0.3"}}, "127.0.0.1", "127.0.0.1"},               // nobody listens there yet
      {{{"127.0.0.2", "127.0.0.3"}}, "127.0.0.3", "127.0.0.2"},  // nor there any longer
      {std::vector<std::string>{}, "127.0.0.1", "127.0.0.1"},    // the name is unknown
      {std::nullopt, "127.0.0.1", "127.0.0.1"},                  // the name server is away
  };
  for (const auto& one : steps) {
    names.answer = one.found;
    target.address = one.known;
    const auto result = probe(target, 2s);
    BOOST_TEST((result.outcome == probe_outcome::ok));
    BOOST_TEST(result.address == one.taken);
  }
  names.answer = std::vector<std::string>{};
  target.address = "";
  BOOST_TEST((probe(target).outcome == probe_outcome::failed));
}

// The name server is away.
BOOST_AUTO_TEST_CASE(a_probe_of_a_name_that_never_answered_ends_in_time) {
  const auto result = probe({.host = "runtime.test", .port = 1, .path = "/"}, 20ms);
  BOOST_TEST((result.outcome == probe_outcome::failed));
  BOOST_TEST(result.why.starts_with("Host not found"), result.why);
}

BOOST_AUTO_TEST_CASE(a_name_that_is_slow_to_find_holds_up_no_other) {
  slow_names server;
  name_finder finder(io, server.lookup());
  std::vector<std::string> found;
  const auto ask = [&](const std::string& host) {
    finder.find(host, [&, host](const auto& error, const found_addresses& addresses) {
      BOOST_TEST(!error);
      BOOST_TEST(addresses.size() == 1u);
      found.push_back(host);
    });
  };
  for (const auto* host : {"slow", "slow", "a", "slow", "b"}) ask(host);
  run_until([&] { return found.size() == 2; });
  ask("c");
  run_until([&] { return found.size() == 3; });
  BOOST_TEST(std::count(found.begin(), found.end(), "slow") == 0);
  server.answer_all();
  run_until([&] { return found.size() == 6; });
  BOOST_TEST(std::count(found.begin(), found.end(), "slow") == 3);
  BOOST_TEST(server.asked("slow") == 1);
  ask("slow");  // anew
  run_until([&] { return found.size() == 7; });
  BOOST_TEST(server.asked("slow") == 2);
}

// One more would wait for one of these.
BOOST_AUTO_TEST_CASE(many_names_that_are_slow_to_find_hold_up_no_other) {
  slow_names server;
  name_finder finder(io, server.lookup());
  std::size_t slow_found = 0;
  bool is_found = false;
  for (std::size_t i = 1; i < name_finder::max_threads; ++i) {
    finder.find("slow" + std::to_string(i), [&](const auto&, const auto&) { ++slow_found; });
  }
  finder.find("a", [&](const auto& error, const auto&) { is_found = !error; });
  run_until([&] { return is_found; });
  BOOST_TEST(slow_found == 0u);
  finder.find("slow", [&](const auto&, const auto&) { ++slow_found; });
  finder.find("b", [&](const auto&, const auto&) { is_found = false; });
  server.answer_all();
  run_until([&] { return slow_found == name_finder::max_threads && !is_found; });
}

BOOST_AUTO_TEST_CASE(the_system_finds_names_or_says_why_not) {
  name_finder finder(io);
  found_addresses numeric;
  std::optional<boost::system::error_code> problem;
  finder.find("127.0.0.9", [&](const auto&, found_addresses found) { numeric = found; });
  finder.find("", [&](const auto& error, const found_addresses&) { problem = error; });
  run_until([&] { return !numeric.empty() && problem; });
  BOOST_TEST(numeric.front().to_string() == "127.0.0.9");
  BOOST_TEST(problem->failed());
}

BOOST_AUTO_TEST_CASE(a_run_follows_its_name_to_another_address) {
  answering_server first(io);
  config::model_options model;
  model.name = "outside";
  model.driver = config::driver_kind::external;
  model.endpoint = "http://runtime.test:" + std::to_string(first.port()) + "/openai";
  const auto request = request_of(1);
  event_log events;
  names.answer = {"127.0.0.1"};
  const auto run =
      std::make_shared<external_run>(io, model, request, events.callback(), names.lookup());
  run->begin();
  run_until([&] { return !events.all().empty(); });
  const auto ready = events.wait_for<runtime_ready>();
  BOOST_TEST(ready.host == "runtime.test");
  BOOST_TEST(ready.address == "127.0.0.1");
  BOOST_TEST(ready.path == "/openai");
  BOOST_TEST(first.head.starts_with("GET /openai/health "));
  BOOST_TEST(request.link->moves() == 0u);

  answering_server second(io, "127.0.0.2", first.port());
  first.stop();
  names.answer = {"127.0.0.2"};
  run_until([&] { return request.link->moves() == 1; });
  BOOST_TEST(request.link->address() == "127.0.0.2");
  BOOST_TEST(events.order() == "ready");  // it is the same run
  run->stop(0ms);
  run_until([&] { return events.order() == "ready exited released"; });
}

BOOST_AUTO_TEST_CASE(a_run_without_an_authority_does_not_start) {
  config::model_options model;
  model.name = "outside";
  model.driver = config::driver_kind::external;
  model.endpoint = "https://runtime.test";
  model.tls_ca = "/nowhere/ca.pem";
  event_log events;
  const auto run =
      std::make_shared<external_run>(io, model, request_of(1), events.callback(), names.lookup());
  run->begin();
  const auto exited = events.wait_for<runtime_exited>();
  BOOST_TEST((exited.reason == scheduling::exit_reason::start_failed));
  BOOST_TEST(exited.detail == "\"/nowhere/ca.pem\" cannot be read: No such file or directory");
}

BOOST_AUTO_TEST_SUITE_END()
