// The state that all shards share: immutable options and look-up tables, published snapshots, and
// access to the control plane and the metrics. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "access/key_ring.hpp"
#include "access/user_token.hpp"
#include "actors/messages.hpp"
#include "actors/metrics.hpp"
#include "actors/model_table.hpp"
#include "config/settings.hpp"
#include "http/proxy/upstream_pools.hpp"
#include "http/serve/body_budget.hpp"
#include "http/serve/connection_places.hpp"
#include "http/serve/cors.hpp"
#include "http/serve/drain_switch.hpp"
#include "http/serve/request_log.hpp"
#include "http/serve/trusted_proxies.hpp"

namespace signalbox {
class control_plane;
class login_slots;
class status_board;
}  // namespace signalbox

namespace signalbox::http {

// One for each gateway; it outlives the shards.
class gateway_state {
 public:
  // `connections`: how many clients may be connected.
  gateway_state(const config::settings& settings, std::uint32_t connections, std::uint32_t shards,
                std::shared_ptr<key_ring> keys, control_plane& control, metrics& m);

  const config::settings& settings() const { return settings_; }
  control_plane& control() { return control_; }
  metrics& meters() { return metrics_; }
  const status_board& board() const;

  // The models that are served now; `settings().models` are those at the start of the process.
  model_table_ptr models() const;

  const key_ring& keys() const { return *keys_; }
  key_ring& keys() { return *keys_; }
  const principal_ptr& anonymous() const { return anonymous_; }  // null: not allowed

  const cors_policy& cors() const { return cors_; }
  const trusted_proxies& proxies() const { return proxies_; }
  connection_places& places() { return places_; }
  body_budget& bodies() { return bodies_; }
  upstream_pools& pools() { return pools_; }
  request_log* log() const { return log_.get(); }  // null: none is kept

  const token_signer& tokens() const { return tokens_; }
  // A login holds the slot while it waits or runs. Null when there are too many logins in all, for
  // this account or from this address.
  std::shared_ptr<void> take_login_slot(const std::string& user, const std::string& address);

  bool draining() const { return draining_.load(std::memory_order_relaxed); }
  void begin_drain() { draining_.store(true); }
  // What operators have drained; draining() is the end of the process.
  drain_switch& drains() { return drains_; }
  const drain_switch& drains() const { return drains_; }
  std::chrono::system_clock::time_point started_at() const { return started_at_; }

  std::string make_request_id();

  // A request for a report holds the place until it is answered. Null when there are too many.
  std::shared_ptr<void> take_report_place();
  // The same for a client that follows a log.
  std::shared_ptr<void> take_log_place();

 private:
  const config::settings& settings_;
  control_plane& control_;
  metrics& metrics_;
  std::shared_ptr<key_ring> keys_;
  principal_ptr anonymous_;
  token_signer tokens_;
  cors_policy cors_;
  const trusted_proxies proxies_;
  connection_places places_;
  body_budget bodies_;
  upstream_pools pools_;
  std::unique_ptr<request_log> log_;
  std::shared_ptr<login_slots> logins_;  // slots may be held longer than we live
  std::atomic<bool> draining_{false};
  drain_switch drains_;
  std::atomic<std::uint64_t> next_request_{0};
  std::shared_ptr<std::atomic<int>> reports_ = std::make_shared<std::atomic<int>>(0);
  std::shared_ptr<std::atomic<int>> logs_ = std::make_shared<std::atomic<int>>(0);
  std::uint64_t process_tag_;  // random: ids differ between runs
  std::chrono::system_clock::time_point started_at_ = std::chrono::system_clock::now();
};

}  // namespace signalbox::http
