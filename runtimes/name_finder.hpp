// Looks up the names of runtimes elsewhere. A lookup takes as long as the system's resolver does,
// half a minute for a name whose server does not answer. Each name has a thread while it is looked
// up, so that such a name holds up no other; Asio itself has one thread for all. Threads are begun
// as names need them, and are kept. There are at most `max_threads`, many more than a gateway has
// hosts, so that a configuration of a thousand hosts cannot use up what the system allows us: only
// with as many dead names at once does another one wait for one of them.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace signalbox::runtimes {

using found_addresses = std::vector<boost::asio::ip::address>;
using lookup_callback =
    std::function<void(const boost::system::error_code& error, found_addresses found)>;
// Looks up a name and calls back on the loop, never from inside the call.
using name_lookup = std::function<void(const std::string& host, lookup_callback on_found)>;

class name_finder {
 public:
  static constexpr std::size_t max_threads = 64;

  // Blocks as long as it takes; any number of threads call it at once.
  using blocking_lookup =
      std::function<found_addresses(const std::string& host, boost::system::error_code& error)>;

  // `io`, on which it calls back, must outlive it. `lookup` is the system's when it is empty.
  explicit name_finder(boost::asio::io_context& io, blocking_lookup lookup = {});
  name_finder(const name_finder&) = delete;
  name_finder& operator=(const name_finder&) = delete;
  ~name_finder();  // waits for the lookups that have begun; nobody hears of them

  // There is no limit of time, since no lookup can be cancelled: whoever asks has to have one.
  // Whoever asks for a name that is being looked up gets the same answer.
  void find(const std::string& host, lookup_callback on_found);
  name_lookup lookup() {
    return [this](const std::string& host, lookup_callback on_found) {
      find(host, std::move(on_found));
    };
  }

 private:
  struct due_lookup {
    std::string host;
    // The loop goes on until the answer is there.
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work;
  };

  void begin_thread();
  void look_up_all();
  void answer(const std::string& host, const boost::system::error_code& error,
              found_addresses found);

  boost::asio::io_context& io_;
  const blocking_lookup lookup_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::vector<lookup_callback>> waiting_;  // by name that is looked up
  std::deque<due_lookup> due_;                                   // those without a thread yet
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;  // threads
  bool is_ending_ = false;
};

}  // namespace signalbox::runtimes
