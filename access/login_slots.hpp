// How many logins wait or run: each takes a password's hash to check, tens of milliseconds of one
// thread, whether it is the right one or not. Thread-safe.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace signalbox {

class login_slots : public std::enable_shared_from_this<login_slots> {
 public:
  static constexpr std::uint32_t most = 32;  // about a second of work
  // So that nobody takes the places of all others.
  static constexpr std::uint32_t most_of_user = 2, most_of_address = 8;

  // Held until it goes away; null when there are too many. An empty address is not counted.
  std::shared_ptr<void> take(const std::string& user, const std::string& address);

 private:
  using counts = std::unordered_map<std::string, std::uint32_t>;

  void give_back(const std::string& user, const std::string& address);

  std::mutex mutex_;
  std::uint32_t taken_ = 0;
  counts users_, addresses_;  // what has none is not in there
};

// Whom failed logins from there count for: an IPv4 address, also one that came to an IPv6 socket,
// or the /64 network of an IPv6 one, which whoever has an address has as a whole.
std::string login_origin(const boost::asio::ip::address& peer);

}  // namespace signalbox
