// Addresses (host and port) as the configuration writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace signalbox::config {

struct address {
  std::string host;  // IPv6 without its brackets
  std::uint16_t port = 0;
  bool is_tls = false;
};

// Parses "127.0.0.1:8000", "[::1]:8000", "localhost:8000" or "https://0.0.0.0:8443". Port 0 asks
// for a free one.
std::optional<address> parse_listen(std::string_view text);

// Parses "http://HOST:PORT" with nothing behind it. HOST is a name, an IPv4 address or [IPv6]; the
// port is not 0.
std::optional<address> parse_endpoint(std::string_view text);

std::string to_string(const address& a);  // "[::1]:8000", "https://[::1]:8443"

}  // namespace signalbox::config
