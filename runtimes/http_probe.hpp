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
  failed,    // no connection, reset, not HTTP, or the name does not resolve
  timed_out  // connected, and no answer
};

// Calls back exactly once, from the io_context, within `timeout` (to resolve a name may take
// longer, and has a limit of its own); never from inside the call.
void probe_http(boost::asio::io_context& io, const std::string& host, std::uint16_t port,
                const std::string& path, duration timeout,
                std::function<void(probe_outcome)> on_outcome);

}  // namespace signalbox::runtimes
