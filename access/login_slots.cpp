#include "access/login_slots.hpp"

#include <algorithm>

namespace signalbox {

namespace {

std::uint32_t count(const std::unordered_map<std::string, std::uint32_t>& all,
                    const std::string& name) {
  const auto found = all.find(name);
  return found == all.end() ? 0 : found->second;
}

void take_off(std::unordered_map<std::string, std::uint32_t>& all, const std::string& name) {
  const auto found = all.find(name);
  if (found != all.end() && --found->second == 0) all.erase(found);
}

}  // namespace

std::shared_ptr<void> login_slots::take(const std::string& user, const std::string& address) {
  const std::lock_guard lock(mutex_);
  if (taken_ >= max_logins || count(users_, user) >= max_per_user ||
      (!address.empty() && count(addresses_, address) >= max_per_address)) {
    return nullptr;
  }
  ++taken_;
  ++users_[user];
  if (!address.empty()) ++addresses_[address];
  return {this, [me = shared_from_this(), user, address](void*) { me->give_back(user, address); }};
}

void login_slots::give_back(const std::string& user, const std::string& address) {
  const std::lock_guard lock(mutex_);
  --taken_;
  take_off(users_, user);
  if (!address.empty()) take_off(addresses_, address);
}

std::string login_origin(const boost::asio::ip::address& peer) {
  namespace ip = boost::asio::ip;
  if (!peer.is_v6()) return peer.to_string();
  const auto v6 = peer.to_v6();
  if (v6.is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, v6).to_string();
  auto bytes = v6.to_bytes();
  constexpr std::size_t network = 8;
  std::fill(bytes.begin() + network, bytes.end(), static_cast<unsigned char>(0));
  return ip::address_v6(bytes).to_string();
}

}  // namespace signalbox
