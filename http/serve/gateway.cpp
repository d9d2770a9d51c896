#include "http/serve/gateway.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>

#include "actors/control_plane.hpp"
#include "config/address.hpp"
#include "config/certificate.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/server.hpp"
#include "http/serve/shard.hpp"
#include "http/serve/tls_socket.hpp"
#include "system/descriptor_limit.hpp"

namespace signalbox::http {

namespace {

constexpr std::uint32_t most_default_shards = 8;  // runtimes need cores, too
constexpr auto hurry_look_gap = std::chrono::milliseconds(50);

// Finds out before anything is started whether the address is in use.
void require_free(const std::string& listen) {
  namespace ip = boost::asio::ip;
  const auto address = config::parse_listen(listen);
  if (!address || address->port == 0) return;
  const std::string host = address->host == "localhost" ? "127.0.0.1" : address->host;
  boost::asio::io_context io;
  ip::tcp::acceptor probe(io);
  boost::system::error_code error;
  const ip::tcp::endpoint endpoint(ip::make_address(host, error), address->port);
  if (!error) probe.open(endpoint.protocol(), error);
  if (!error) probe.set_option(ip::tcp::acceptor::reuse_address(true), error);
  if (!error) probe.bind(endpoint, error);
  if (error) throw std::runtime_error("cannot listen on " + listen + ": " + error.message());
}

// Logs which certificate is used. Throws std::runtime_error with one line for each mistake.
struct loaded_certificate {
  tls_context context;
  std::string fingerprint;
};
loaded_certificate load_certificate(const config::tls_options& files) {
  const auto report = config::read_certificate(files, std::chrono::system_clock::now());
  std::string mistakes;
  for (const auto& mistake : report.mistakes) {
    mistakes += (mistakes.empty() ? "" : "; ") + mistake.option + ": " + mistake.text;
  }
  if (!report.pair) throw std::runtime_error(mistakes);
  auto context = make_tls_context(*report.pair);
  for (const auto& doubt : report.doubts) spdlog::warn("TLS: {}: {}", doubt.option, doubt.text);
  spdlog::info("TLS: {}", config::describe(*report.pair));
  return {std::move(context), config::fingerprint(*report.pair->chain.front())};
}

// Returns how many clients may be connected, and says so if it is another number than `before`.
std::uint32_t connections_for(const config::settings& settings, std::uint32_t before) {
  const auto descriptors = descriptor_limit();
  const auto count = affordable_connections(settings, shard_count(settings), descriptors);
  if (count < settings.server.max_connections && count != before) {
    spdlog::warn(
        "server.max_connections: {} instead of {}, because the process may have only {} open files "
        "(ulimit -n), and keeps some of them for runtimes, the database and logs",
        count, settings.server.max_connections, descriptors);
  }
  return count;
}

scheduling::key_limits user_limits(const config::security_options& security) {
  return {security.user_requests_per_minute, security.user_burst, 0, 0, 0};
}

}  // namespace

struct gateway::state {
  state(const config::settings& settings, const std::vector<key_record>& configured,
        control_plane& control, metrics& m, std::function<void(const std::string&)> tell)
      : on_certificate(std::move(tell)),
        keys(std::make_shared<key_ring>(configured, user_limits(settings.security))),
        shared(settings, connections_for(settings, 0), shard_count(settings), keys, control, m) {}

  std::function<void(const std::string&)> on_certificate;
  std::shared_ptr<key_ring> keys;  // shared with the registry, which may outlive us
  gateway_state shared;
  std::vector<std::unique_ptr<shard>> shards;
  std::unique_ptr<server> listening;  // destroyed before the shards
};

std::uint32_t shard_count(const config::settings& settings) {
  if (settings.server.shards != 0) return settings.server.shards;
  return std::clamp(std::thread::hardware_concurrency(), 1U, most_default_shards);
}

gateway::gateway(const config::settings& settings, const std::vector<key_record>& configured,
                 control_plane& control, metrics& m,
                 std::function<void(const std::string&)> on_certificate)
    : state_(std::make_unique<state>(settings, configured, control, m, std::move(on_certificate))) {
  require_free_addresses(settings);
  control.subscribe_to_keys([keys = state_->keys](const keys_changed& news) { keys->apply(news); });
  const auto& tls = settings.server.tls;
  tls_context context;
  if (!tls.certificate.empty()) {
    auto loaded = load_certificate(tls);
    context = std::move(loaded.context);
    state_->on_certificate(loaded.fingerprint);
  }
  for (std::uint32_t i = 0; i < shard_count(settings); ++i) {
    auto& home = *state_->shards.emplace_back(
        std::make_unique<shard>(static_cast<shard_id>(i), state_->shared));
    auto& identity = boost::asio::use_service<tls_identity>(home.io());
    identity.show(context);
    identity.set_handshake_timeout(std::chrono::seconds(settings.server.header_read_timeout_s));
  }
  state_->listening =
      std::make_unique<server>(state_->shared, state_->shards, settings.server.listen);
  if (context) control.before_reload([this] { reload_certificate(); });
  control.after_reload([this](const auto& models) { make_room_for(models); });
}

gateway::~gateway() {
  state_->shared.control().before_reload({});
  state_->shared.control().after_reload({});
  stop();
}

const std::vector<std::string>& gateway::bound() const {
  return state_->listening->bound();
}

void gateway::run() {
  for (auto& one : state_->shards) {
    state_->shared.control().attach_shard(one->id(), one->inbox());
    one->run();
  }
}

void gateway::reload_certificate() {
  const auto& tls = state_->shared.settings().server.tls;
  try {
    const auto [context, fingerprint] = load_certificate(tls);
    for (auto& one : state_->shards) {
      one->poster()([&io = one->io(), context = context] {
        boost::asio::use_service<tls_identity>(io).show(context);
      });
    }
    state_->on_certificate(fingerprint);
  } catch (const std::exception& e) {
    spdlog::error("TLS: keeping the certificate in use: {}", e.what());
  }
}

void gateway::make_room_for(const std::vector<config::model_options>& models) {
  auto now = state_->shared.settings();
  now.models = models;
  auto& places = state_->shared.places();
  places.set_count(connections_for(now, places.count()));
}

void gateway::drain(duration grace, const std::function<bool()>& hurry) {
  state_->shared.begin_drain();
  const auto deadline = std::chrono::steady_clock::now() + grace;
  state_->listening->stop_accepting();
  for (auto& one : state_->shards) {
    auto look = std::chrono::steady_clock::now();
    while (!one->wait_idle(std::min(deadline, look + hurry_look_gap)) && !hurry()) {
      look = std::chrono::steady_clock::now();
      if (look >= deadline) break;
    }
  }
  for (auto& one : state_->shards) one->finish();
}

void require_free_addresses(const config::settings& settings) {
  for (const auto& listen : settings.server.listen) require_free(listen);
}

void gateway::stop() {
  for (auto& one : state_->shards) one->stop();
}

}  // namespace signalbox::http
