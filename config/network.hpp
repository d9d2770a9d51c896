// Networks of IP addresses as the configuration writes them.
#pragma once

#include <array>
#include <optional>
#include <string>

namespace signalbox::config {

// An IPv6 address, or an IPv4 address as it is mapped into IPv6 (RFC 4291 2.5.5.2).
using ip_bytes = std::array<unsigned char, 16>;

// Parses an IPv4 or IPv6 address, without brackets, port and zone.
std::optional<ip_bytes> parse_ip(const std::string& text);

class network {
 public:
  // Parses "10.1.2.3", "10.0.0.0/8", "fd00::/8". Takes no address with bits behind the prefix, such
  // as 10.1.2.3/8, because one of the two is a mistake.
  static std::optional<network> parse(const std::string& text);

  // An IPv6 network has no IPv4 addresses, unless it is one of mapped addresses itself.
  bool contains(const ip_bytes& address) const;

 private:
  ip_bytes first_{};
  unsigned prefix_ = 0;  // bits
};

}  // namespace signalbox::config
