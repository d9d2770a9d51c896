// Sends one GET to the health route of a runtime. For control traffic only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "scheduling/types.hpp"

namespace signalbox::runtimes {

enum class probe_outcome : std::uint8_t {
  ok,  // status 200
  other_status,
  failed,    // no connection (in time), reset, not HTTP, or the name does not resolve
  timed_out  // connected, but no answer in time
};

struct probe_target {
  std::string host;  // a name or an address, IPv6 without brackets; also for the Host header
  std::uint16_t port = 0;
  std::string path{};
  std::string address{};  // IP to connect to; empty: any of the host's that listens
};

struct probe_result {
  probe_outcome outcome = probe_outcome::failed;
  std::string address{};  // IP that was connected to; empty: none
  std::string why{};      // for the log, when not ok
};

// Calls back exactly once, on the io_context and never from inside the call, within `timeout`
// (resolving a name has a longer limit of its own).
void probe_http(boost::asio::io_context& io, const probe_target& target, duration timeout,
                std::function<void(const probe_result&)> on_result);

}  // namespace signalbox::runtimes
