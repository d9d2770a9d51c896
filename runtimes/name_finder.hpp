// Looks up the names of runtimes elsewhere. Each name has a thread while it is looked up, so that
// one whose server does not answer holds up no other; Asio itself has one thread for all.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace signalbox::runtimes {

using found_addresses = std::vector<boost::asio::ip::address>;
using lookup_callback =
    std::function<void(const boost::system::error_code& error, found_addresses found)>;
// Looks up a name and calls back on the loop, never from inside the call.
using name_lookup = std::function<void(const std::string& host, lookup_callback on_found)>;

class name_finder {
 public:
  // Blocks as long as it takes; any number of threads call it at once.
  using blocking_lookup =
      std::function<found_addresses(const std::string& host, boost::system::error_code& error)>;

  // `io`, on which it calls back, must outlive it. `lookup` is the system's when it is empty.
  explicit name_finder(boost::asio::io_context& io, blocking_lookup lookup = {});
  name_finder(const name_finder&) = delete;
  name_finder& operator=(const name_finder&) = delete;
  ~name_finder() = default;  // waits for the lookups that have begun; nobody hears of them

  // There is no limit of time, since no lookup can be cancelled: whoever asks has to have one.
  // Whoever asks for a name that is being looked up gets the same answer.
  void find(const std::string& host, lookup_callback on_found);
  name_lookup lookup() {
    return [this](const std::string& host, lookup_callback on_found) {
      find(host, std::move(on_found));
    };
  }

 private:
  void look_up(const std::string& host);

  boost::asio::io_context& io_;
  const blocking_lookup lookup_;
  std::mutex mutex_;
  std::map<std::string, std::vector<lookup_callback>> waiting_;  // by name that is looked up
  std::optional<boost::asio::thread_pool> threads_;              // from the first lookup on
};

}  // namespace signalbox::runtimes
