// One GET to a runtime's health route. Control traffic only.
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
  timed_out  // connected, and no answer
};

struct probe_target {
  std::string host;  // a name or an address, IPv6 without brackets; also for the Host header
  std::uint16_t port = 0;
  std::string path{};
  std::string address{};  // the IP to connect to; empty: whichever of the host's listens
};

struct probe_result {
  probe_outcome outcome = probe_outcome::failed;
  std::string address{};  // the IP that it was connected to; empty when it was not
  std::string why{};      // not ok: for a log
};

// Calls back exactly once, from the io_context, within `timeout` (to resolve a name may take
// longer, and has a limit of its own); never from inside the call.
void probe_http(boost::asio::io_context& io, const probe_target& target, duration timeout,
                std::function<void(const probe_result&)> on_result);

}  // namespace signalbox::runtimes
