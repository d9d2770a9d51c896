#include "runtimes/name_finder.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace signalbox::runtimes {
namespace {

namespace asio = boost::asio;

constexpr std::size_t lookups_at_once = 4;

found_addresses ask_system(const std::string& host, boost::system::error_code& error) {
  asio::io_context io;
  found_addresses found;
  for (const auto& entry : asio::ip::tcp::resolver(io).resolve(host, "", error)) {
    found.push_back(entry.endpoint().address());
  }
  return found;
}

}  // namespace

name_finder::name_finder(asio::io_context& io, blocking_lookup lookup)
    : io_(io), lookup_(lookup ? std::move(lookup) : ask_system) {}

void name_finder::find(const std::string& host, lookup_callback on_found) {
  const std::lock_guard lock(mutex_);
  auto& waiting = waiting_[host];
  waiting.push_back(std::move(on_found));
  if (waiting.size() > 1) return;
  if (!threads_) threads_.emplace(lookups_at_once);
  asio::post(*threads_, [this, host, work = asio::make_work_guard(io_)] { look_up(host); });
}

void name_finder::look_up(const std::string& host) {
  boost::system::error_code error;
  auto found = lookup_(host, error);
  const std::lock_guard lock(mutex_);
  asio::post(
      io_, [waiting = std::move(waiting_.extract(host).mapped()), error, found = std::move(found)] {
        for (const auto& on_found : waiting) on_found(error, found);
      });
}

}  // namespace signalbox::runtimes
