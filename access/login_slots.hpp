// Bounds how many logins wait or run at once: checking a password, right or wrong, takes one thread
// tens of milliseconds. Thread-safe.
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
  static constexpr std::uint32_t max_logins = 32;  // about a second of work
  // Smaller bounds keep one user or one address from taking all places.
  static constexpr std::uint32_t max_per_user = 2, max_per_address = 8;

  // Returns a slot that is held until the pointer is destroyed, or null when too many are taken. An
  // empty address is not counted.
  std::shared_ptr<void> take(const std::string& user, const std::string& address);

 private:
  using counts = std::unordered_map<std::string, std::uint32_t>;

  void give_back(const std::string& user, const std::string& address);

  std::mutex mutex_;
  std::uint32_t taken_ = 0;
  counts users_, addresses_;  // only those with at least one slot
};

// Returns the origin that failed logins are counted for: the IPv4 address (also when it reached an
// IPv6 socket), or the /64 network of an IPv6 address, since its owner holds the whole network.
std::string login_origin(const boost::asio::ip::address& peer);

}  // namespace signalbox
