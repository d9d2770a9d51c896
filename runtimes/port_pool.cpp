#include "runtimes/port_pool.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <fstream>
#include <random>
#include <stdexcept>

namespace signalbox::runtimes {
namespace {

using boost::asio::ip::tcp;

constexpr std::uint32_t min_port = 10000;  // services with well-known ports are below
constexpr std::uint32_t wanted = 16384;

std::uint32_t first_ephemeral() {
  std::uint32_t first = 32768;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first;
  return std::clamp<std::uint32_t>(first, min_port + 1000, 65000);
}

bool is_free(std::uint16_t port) {
  boost::asio::io_context io;
  tcp::acceptor probe(io);
  boost::system::error_code error;
  probe.open(tcp::v4(), error);
  if (error) return false;
  probe.set_option(tcp::acceptor::reuse_address(true), error);  // a port in TIME_WAIT is free
  probe.bind({boost::asio::ip::address_v4::loopback(), port}, error);
  return !error;
}

}  // namespace

port_pool::port_pool() {
  const auto end = first_ephemeral();
  const auto begin = end - std::min(wanted, end - min_port);
  first_ = static_cast<std::uint16_t>(begin);
  count_ = static_cast<std::uint16_t>(end - begin);
  next_ = static_cast<std::uint16_t>(std::random_device{}() % count_);
}

std::uint16_t port_pool::take() {
  for (std::uint32_t tried = 0; tried < count_; ++tried) {
    const auto port = static_cast<std::uint16_t>(first_ + next_);
    next_ = static_cast<std::uint16_t>((next_ + 1) % count_);
    if (taken_.contains(port) || !is_free(port)) continue;
    taken_.insert(port);
    return port;
  }
  throw std::runtime_error("no free port for a runtime");
}

}  // namespace signalbox::runtimes
