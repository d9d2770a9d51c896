// Shared by the tests of runtimes: a recorder of events, an HTTP client, and a look at /proc.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtimes/driver.hpp"
#include "system/unique_fd.hpp"

namespace signalbox::runtimes::testing {

// The bound of every wait; reached only by bugs.
inline constexpr std::chrono::seconds patience{30};

inline const std::string programs = SIGNALBOX_BINARY_DIR;  // where those under test are

// Keeps the events of one run; any thread may wait for one.
class event_log {
 public:
  event_callback callback();

  template <typename Event>
  Event wait_for() {
    return wait_for_next<Event>(0);
  }
  // The one after the first `skipped` of its kind.
  template <typename Event>
  Event wait_for_next(std::size_t skipped) {
    std::unique_lock lock(state_->mutex);
    const Event* found = nullptr;
    const bool came = state_->changed.wait_for(lock, patience, [&] {
      auto left = skipped;
      for (const auto& event : state_->events) {
        if ((found = std::get_if<Event>(&event)) && left-- == 0) return true;
      }
      return false;
    });
    if (!came) throw std::runtime_error("the event did not come");
    return *found;
  }
  std::vector<runtime_event> all() const;
  std::string order() const;  // "spawned ready exited released"

 private:
  struct state {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<runtime_event> events;
  };
  std::shared_ptr<state> state_ = std::make_shared<state>();
};

const std::string& own_folder();  // of this process; goes with it
std::unique_ptr<runtime_driver> make_driver(const std::string& program_dir,
                                            const std::string& data_dir = own_folder());
config::model_options sim_model(const std::string& program_dir,
                                std::vector<std::string> more_arguments = {});
run_request request_of(std::uint64_t incarnation, duration start_timeout = patience);

// A process by its pidfd: cannot be mistaken for another that got its pid.
class watched_process {
 public:
  explicit watched_process(pid_t pid);
  bool wait_until_gone() const;  // false after `patience`; a zombie is gone
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
  unique_fd pidfd_;
};

pid_t parent_of(pid_t pid);
// Living processes whose environment holds SIGNALBOX_RUN=…<part>…, in ascending order.
std::vector<pid_t> marked_processes(const std::string& part);
std::size_t open_files();

struct reply {
  boost::beast::error_code error;  // of reading; the response holds what came before it
  boost::beast::http::response<boost::beast::http::string_body> response;

  unsigned status() const { return response.result_int(); }
  const std::string& body() const { return response.body(); }
};

struct call {
  std::string target = "/v1/chat/completions";
  std::string body{};   // empty: GET, otherwise POST
  std::string fault{};  // the x-sim-fault header; needs --request-faults
  std::chrono::milliseconds timeout = patience;
};

// One connection.
class http_client {
 public:
  explicit http_client(std::uint16_t port);
  reply send(const call& c);

  // A client leaves in the middle so: send, wait for the first bytes, then destroy it.
  void write(const call& c);
  std::string read_some();

 private:
  void run() {
    io_.restart();
    io_.run();
  }
  boost::asio::io_context io_;
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
};

reply send_once(std::uint16_t port, const call& c);
// From /metrics of a simulated runtime.
double metric(std::uint16_t port, const std::string& name);
// Asks until it has this value; throws when that does not come.
void wait_for_metric(std::uint16_t port, const std::string& name, double value);

}  // namespace signalbox::runtimes::testing
