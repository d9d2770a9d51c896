#include "config/network.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace signalbox::config {
namespace {

constexpr ip_bytes mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned mapped_bits = 96, all_bits = 128;

bool is_mapped(const ip_bytes& address) {
  return std::equal(address.begin(), address.begin() + mapped_bits / 8, mapped.begin());
}

// Returns the address with all bits behind the prefix set to 0.
ip_bytes first_of(ip_bytes address, unsigned prefix) {
  for (unsigned i = 0; i < address.size(); ++i) {
    const unsigned kept = std::clamp(static_cast<int>(prefix) - static_cast<int>(8 * i), 0, 8);
    address[i] &= static_cast<unsigned char>(0xff00 >> kept);
  }
  return address;
}

}  // namespace

std::optional<ip_bytes> parse_ip(const std::string& text) {
  if (text.find('\0') != std::string::npos) return std::nullopt;
  ip_bytes address = mapped;
  if (inet_pton(AF_INET, text.c_str(), address.data() + mapped_bits / 8) == 1) return address;
  if (inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  return std::nullopt;
}

std::optional<network> network::parse(const std::string& text) {
  const auto slash = text.find('/');
  const auto address = parse_ip(text.substr(0, slash));
  if (!address) return std::nullopt;
  network parsed;
  parsed.first_ = *address;
  parsed.prefix_ = all_bits;
  if (slash == std::string::npos) return parsed;
  const unsigned before = text.find(':') == std::string::npos ? mapped_bits : 0;
  const char* end = text.data() + text.size();
  unsigned bits = 0;
  const auto [rest, error] = std::from_chars(text.data() + slash + 1, end, bits);
  if (error != std::errc{} || rest != end || bits > all_bits - before) return std::nullopt;
  parsed.prefix_ = before + bits;
  if (first_of(*address, parsed.prefix_) != *address) return std::nullopt;
  return parsed;
}

bool network::contains(const ip_bytes& address) const {
  return is_mapped(address) == is_mapped(first_) && first_of(address, prefix_) == first_;
}

}  // namespace signalbox::config
