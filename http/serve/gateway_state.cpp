#include "http/serve/gateway_state.hpp"

#include <sodium.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>

#include "access/login_slots.hpp"
#include "actors/control_plane.hpp"

namespace signalbox::http {

namespace {

constexpr int most_reports = 16, most_logs = 16;

// The place may outlive us, because an actor may hold it.
std::shared_ptr<void> take_place(const std::shared_ptr<std::atomic<int>>& taken, int most) {
  std::shared_ptr<void> place(taken.get(), [taken](void*) { taken->fetch_sub(1); });
  return taken->fetch_add(1) < most ? place : nullptr;
}

// The machine's memory in bytes, or the limit of the control group if that is lower.
std::uint64_t machine_memory() {
  auto bytes = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
               static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::uint64_t limit = 0;  // the file may hold "max"
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit && limit > 0) {
    bytes = std::min(bytes, limit);
  }
  return bytes;
}

std::uint64_t body_memory_of(const config::settings& settings) {
  const auto& server = settings.server;
  if (server.body_memory > 0) return server.body_memory;
  return std::max(machine_memory() / 8, server.body_limit);
}

}  // namespace

gateway_state::gateway_state(const config::settings& settings, std::uint32_t connections,
                             std::uint32_t shards, std::shared_ptr<key_ring> keys,
                             control_plane& control, metrics& m)
    : settings_(settings),
      control_(control),
      metrics_(m),
      keys_(std::move(keys)),
      tokens_(make_token_signer(settings.security, settings.data_dir)),
      cors_(settings.cors),
      proxies_(settings.server.trusted_proxies),
      places_(connections, shards),
      bodies_(body_memory_of(settings)),
      logins_(std::make_shared<login_slots>()) {
  if (!settings.log.requests.empty()) {
    log_ = std::make_unique<request_log>(settings.log, settings.data_dir);
  }
  randombytes_buf(&process_tag_, sizeof process_tag_);
  if (!settings.security.anonymous_scopes.empty()) {
    key_record key;
    key.id = "anonymous";
    key.scopes = settings.security.anonymous_scopes;
    anonymous_ = keys_->make_principal(key);
  }
}

const status_board& gateway_state::board() const {
  return control_.board();
}

model_table_ptr gateway_state::models() const {
  return control_.handles()->models;
}

std::shared_ptr<void> gateway_state::take_login_slot(const std::string& user,
                                                     const std::string& address) {
  const bool are_addresses_told_apart = settings_.security.login_failures_per_address > 0;
  return logins_->take(user, are_addresses_told_apart ? address : std::string());
}

std::shared_ptr<void> gateway_state::take_report_place() {
  return take_place(reports_, most_reports);
}

std::shared_ptr<void> gateway_state::take_log_place() {
  return take_place(logs_, most_logs);
}

std::string gateway_state::make_request_id() {
  std::array<char, 40> text{'r', 'e', 'q', '-'};
  auto* at = text.data() + 4;
  at = std::to_chars(at, text.data() + text.size(), process_tag_, 16).ptr;
  *at++ = '-';
  at = std::to_chars(at, text.data() + text.size(), next_request_.fetch_add(1), 16).ptr;
  return {text.data(), at};
}

}  // namespace signalbox::http
