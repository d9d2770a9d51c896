// Sends one GET to the health route of a runtime. For control traffic only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "config/trust.hpp"
#include "runtimes/name_finder.hpp"
#include "scheduling/types.hpp"

namespace signalbox::runtimes {

enum class probe_outcome : std::uint8_t {
  ok,  // status 200
  other_status,
  failed,     // no connection (in time), reset, not HTTP, or the name does not resolve
  timed_out,  // connected, but no answer in time
  not_tried   // for lack of something of ours, such as descriptors
};

// Whether a probe that ended like this says that the server hangs or is gone. One that answers with
// another status is busy, and alive.
inline bool is_bad_sign(probe_outcome outcome) {
  return outcome == probe_outcome::failed || outcome == probe_outcome::timed_out;
}

struct probe_target {
  std::string host;  // a name or an address, IPv6 without brackets; also for the Host header
  std::uint16_t port = 0;
  std::string path{};
  // The IP address that answered before. It is tried before the others that the name has, and also
  // when the name has it no longer, or cannot be looked up. Empty: none did.
  std::string address{};
  std::string api_key{};         // sent as a bearer token; empty: none
  config::trust_ptr trust = {};  // for TLS; null: without
};

struct probe_result {
  probe_outcome outcome = probe_outcome::failed;
  std::string address{};  // IP that was connected to; empty: none
  std::string why{};      // for the log, when not ok
};

// Calls back exactly once, on the io_context and never from inside the call, within `timeout`, or
// 2 s after the address was found if that is later. A host that is an address, or `localhost`,
// needs no `lookup`.
void probe_http(boost::asio::io_context& io, const probe_target& target, duration timeout,
                std::function<void(const probe_result&)> on_result, name_lookup lookup = {});

}  // namespace signalbox::runtimes
