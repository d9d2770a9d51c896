// The data plane as main sees it: all shards with their servers, started, drained and stopped
// together.
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

// How many shards serve: what the configuration says, or half the cores, at least one (one shard on
// two cores beats two at p99: SO_REUSEPORT spreads connections unevenly).
std::uint32_t shard_count(const config::settings& settings);

// Throws std::runtime_error that names a listen address which cannot be had. The gateway checks it
// too; this is for finding out before anything is started.
void require_free_addresses(const config::settings& settings);

class gateway {
 public:
  // Binds, and learns the keys of the database; throws std::runtime_error that names an address
  // which cannot be had (another process that listens there included). `configured`: the keys of
  // the configuration.
  gateway(const config::settings& settings, const std::vector<key_record>& configured,
          control_plane& control, metrics& m);
  ~gateway();

  void run();                                     // serves from here on
  const std::vector<std::string>& bound() const;  // ADDR:PORT, https://ADDR:PORT

  // New connections get what stands in the certificate's files by now; established ones go on. What
  // is no good is logged, and changes nothing. From any thread.
  void reload_certificate();

  // Accepts no more, refuses new requests, waits until what runs is done, `grace` is over or
  // `hurry` is true, and cuts off the rest; then hands everything that was counted to the control
  // plane.
  void drain(duration grace, const std::function<bool()>& hurry);
  void stop();  // ends the shards

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace signalbox::http
