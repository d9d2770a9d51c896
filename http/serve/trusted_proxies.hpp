// Finds the client of a request that came through proxies (server.trusted_proxies).
#pragma once

#include <boost/asio/ip/address.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "config/network.hpp"

namespace signalbox::http {

class trusted_proxies {
 public:
  // Ignores what is no network: the configuration was validated.
  explicit trusted_proxies(const std::vector<std::string>& networks);

  // Returns the address of the client. That is the peer's, unless the peer is a trusted proxy. Then
  // it is the last address in `forwarded_for`, the values of all X-Forwarded-For fields in order,
  // that is not a trusted proxy's as well; or the first one when all are. Each proxy adds the
  // address of its own peer, so that whatever stands before it is hearsay. A value that has to be
  // read and is no address makes it the peer's. IPv4 never comes as mapped IPv6.
  boost::asio::ip::address client_of(const boost::asio::ip::address& peer,
                                     const std::vector<std::string_view>& forwarded_for) const;

 private:
  bool contain(const config::ip_bytes& address) const;

  std::vector<config::network> networks_;
};

}  // namespace signalbox::http
