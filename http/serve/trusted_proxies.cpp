#include "http/serve/trusted_proxies.hpp"

#include <algorithm>
#include <optional>

#include "text/ascii.hpp"

namespace signalbox::http {

namespace ip = boost::asio::ip;

namespace {

config::ip_bytes to_bytes(const ip::address& address) {
  if (address.is_v6()) return address.to_v6().to_bytes();
  return ip::make_address_v6(ip::v4_mapped, address.to_v4()).to_bytes();
}

ip::address to_address(const config::ip_bytes& bytes) {
  const ip::address_v6 v6(bytes);
  if (v6.is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, v6);
  return v6;
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Reads an address as proxies write it: 10.1.2.3, 10.1.2.3:80, fd00::1, [fd00::1], [fd00::1]:80.
std::optional<config::ip_bytes> read_address(std::string_view text) {
  const bool has_brackets = text.starts_with('[');
  const auto end = has_brackets ? text.find(']') : text.find(':');
  auto host = text;
  if (has_brackets) {
    if (end == text.npos) return std::nullopt;
    host = text.substr(1, end - 1);
    if (host.find(':') == host.npos) return std::nullopt;
  } else if (end != text.npos && text.find(':', end + 1) == text.npos) {
    host = text.substr(0, end);
  }
  auto rest = text.substr(host.size() + (has_brackets ? 2 : 0));
  if (!rest.empty() && (!rest.starts_with(':') || !is_port(rest.substr(1)))) return std::nullopt;
  return config::parse_ip(std::string(host));
}

// Takes the last element off a list that is separated by commas, without the blanks around it.
std::string_view take_last(std::string_view& list) {
  const auto comma = list.rfind(',');
  const auto last = comma == list.npos ? list : list.substr(comma + 1);
  list = comma == list.npos ? std::string_view() : list.substr(0, comma);
  return without_blanks(last);
}

}  // namespace

trusted_proxies::trusted_proxies(const std::vector<std::string>& networks) {
  for (const auto& text : networks) {
    if (const auto network = config::network::parse(text)) networks_.push_back(*network);
  }
}

bool trusted_proxies::contain(const config::ip_bytes& address) const {
  return std::any_of(networks_.begin(), networks_.end(),
                     [&](const config::network& n) { return n.contains(address); });
}

ip::address trusted_proxies::client_of(const ip::address& peer,
                                       const std::vector<std::string_view>& forwarded_for) const {
  const auto own = to_bytes(peer);
  auto client = own;
  for (auto i = forwarded_for.size(); i > 0; --i) {
    auto list = forwarded_for[i - 1];
    while (!list.empty() && contain(client)) {
      const auto text = take_last(list);
      if (text.empty()) continue;
      const auto next = read_address(text);
      if (!next) return to_address(own);
      client = *next;
    }
  }
  return to_address(client);
}

}  // namespace signalbox::http
