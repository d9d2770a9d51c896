#include "runtimes/name_finder.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <system_error>
#include <utility>

namespace signalbox::runtimes {
namespace {

namespace asio = boost::asio;

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

name_finder::~name_finder() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void name_finder::find(const std::string& host, lookup_callback on_found) {
  const std::lock_guard lock(mutex_);
  auto& waiting = waiting_[host];
  waiting.push_back(std::move(on_found));
  if (waiting.size() > 1) return;
  due_.push_back({host, asio::make_work_guard(io_)});
  if (due_.size() > idle_ && threads_.size() < max_threads) begin_thread();
  changed_.notify_one();
}

// Without another thread, names wait for those that there are.
void name_finder::begin_thread() {
  try {
    threads_.emplace_back([this] { look_up_all(); });
  } catch (const std::system_error& e) {
    if (!threads_.empty()) return;
    const auto host = due_.front().host;
    answer(host, boost::system::error_code(e.code().value(), boost::system::system_category()), {});
    due_.pop_front();
  }
}

void name_finder::look_up_all() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return is_ending_ || !due_.empty(); });
    --idle_;
    if (is_ending_) return;
    const auto next = std::move(due_.front());
    due_.pop_front();
    lock.unlock();
    boost::system::error_code error;
    auto found = lookup_(next.host, error);
    lock.lock();
    answer(next.host, error, std::move(found));
  }
}

// Tells all who wait for the name. The mutex is locked.
void name_finder::answer(const std::string& host, const boost::system::error_code& error,
                         found_addresses found) {
  asio::post(
      io_, [waiting = std::move(waiting_.extract(host).mapped()), error, found = std::move(found)] {
        for (const auto& on_found : waiting) on_found(error, found);
      });
}

}  // namespace signalbox::runtimes
