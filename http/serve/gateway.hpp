// The data plane as a whole: starts, drains and stops all shards with their servers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "access/authentication.hpp"
#include "actors/metrics.hpp"
#include "config/settings.hpp"

namespace signalbox {
class control_plane;
}

namespace signalbox::http {

// Returns the number of shards: the configured one, or one for each core, at most eight.
std::uint32_t shard_count(const config::settings& settings);

// Throws std::runtime_error that names a listen address that is not free. The gateway checks this
// too; calling it first finds out before anything is started.
void require_free_addresses(const config::settings& settings);

// The server: its shards and their threads.
class gateway {
 public:
  // Binds, and subscribes to the keys of the database. `configured` are the keys of the
  // configuration. `on_certificate` gets the fingerprint of each certificate that is used from then
  // on, also of the first one. Throws std::runtime_error that names an address that cannot be
  // bound, for example because another process listens there.
  gateway(
      const config::settings& settings, const std::vector<key_record>& configured,
      control_plane& control, metrics& m,
      std::function<void(const std::string&)> on_certificate = [](const auto&) {});
  ~gateway();

  void run();                                     // starts to serve
  const std::vector<std::string>& bound() const;  // ADDR:PORT, https://ADDR:PORT

  // Stops accepting connections and refuses new requests. Waits until all requests are done,
  // `grace` is over or `hurry` returns true, and cuts off the rest. Then hands all counters to the
  // control plane.
  void drain(duration grace, const std::function<bool()>& hurry);
  void stop();  // ends the shards

 private:
  // Reads the certificate files again, for new connections; established ones keep theirs. A pair
  // with mistakes is logged and ignored. Called by each reload of the configuration.
  void reload_certificate();
  // Counts anew how many connections of clients leave enough descriptors for these models. Called
  // after each reload.
  void make_room_for(const std::vector<config::model_options>& models);

  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace signalbox::http
