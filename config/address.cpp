#include "config/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace signalbox::config {
namespace {

constexpr std::string_view tls_scheme = "https://";

bool is_address(int family, const std::string& host) {
  in6_addr storage{};  // the larger of the two
  return inet_pton(family, host.c_str(), &storage) == 1;
}

bool is_host_name(const std::string& host) {
  auto fine = [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '.' || c == '_'; };
  // A name of digits and dots only is a mistyped IPv4 address.
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), fine) &&
         host.find_first_not_of("0123456789.") != std::string::npos;
}

bool is_path(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > 0x20 && c < 0x7f && c != '?' && c != '#'; });
}

std::optional<address> split(std::string_view text) {
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon), digits = text.substr(colon + 1);
  address out;
  const char* end = digits.data() + digits.size();
  auto [rest, error] = std::from_chars(digits.data(), end, out.port);
  if (error != std::errc{} || rest != end) return std::nullopt;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    out.host = host.substr(1, host.size() - 2);
    return is_address(AF_INET6, out.host) ? std::optional(out) : std::nullopt;
  }
  out.host = host;
  return is_address(AF_INET, out.host) || is_host_name(out.host) ? std::optional(out)
                                                                 : std::nullopt;
}

}  // namespace

std::optional<address> parse_listen(std::string_view text) {
  const bool is_tls = text.starts_with(tls_scheme);
  auto parsed = split(text.substr(is_tls ? tls_scheme.size() : 0));
  if (!parsed) return std::nullopt;
  parsed->is_tls = is_tls;
  // Any other name may resolve to several addresses, and to others tomorrow.
  bool is_name = !is_address(AF_INET, parsed->host) && !is_address(AF_INET6, parsed->host);
  return is_name && parsed->host != "localhost" ? std::nullopt : parsed;
}

std::optional<endpoint_address> parse_endpoint(std::string_view text) {
  constexpr std::string_view plain_scheme = "http://", tls_port = ":443";
  const bool is_tls = text.starts_with(tls_scheme);
  if (!is_tls && !text.starts_with(plain_scheme)) return std::nullopt;
  text.remove_prefix((is_tls ? tls_scheme : plain_scheme).size());
  std::string where(text.substr(0, text.find('/')));
  auto path = text.substr(where.size());
  while (path.ends_with('/')) path.remove_suffix(1);
  if (is_tls && (where.find(':') == where.npos || where.ends_with(']'))) where += tls_port;
  const auto parsed = split(where);
  if (!parsed || parsed->port == 0 || !is_path(path)) return std::nullopt;
  return endpoint_address{{parsed->host, parsed->port, is_tls}, std::string(path)};
}

std::string to_string(const address& a) {
  bool v6 = a.host.find(':') != std::string::npos;
  return std::string(a.is_tls ? tls_scheme : "") + (v6 ? "[" + a.host + "]" : a.host) + ":" +
         std::to_string(a.port);
}

}  // namespace signalbox::config
