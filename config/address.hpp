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

// Where a runtime answers. The path is put before that of each request; it begins with / and does
// not end in one, or is empty.
struct endpoint_address : address {
  std::string path;
};

// Parses "http://HOST:PORT/PATH" or "https://HOST:PORT/PATH". HOST is a name, an IPv4 address or
// [IPv6]; the port is not 0, and may be left out with https://; so may the path.
std::optional<endpoint_address> parse_endpoint(std::string_view text);

std::string to_string(const address& a);  // "[::1]:8000", "https://[::1]:8443"

}  // namespace signalbox::config
