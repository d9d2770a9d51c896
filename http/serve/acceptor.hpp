// Accepts the connections of one listen address, on one loop. It never gives up: while the process
// has no descriptor left, or as many clients as it may have, new connections wait in the kernel.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <string>

#include "config/address.hpp"
#include "http/serve/connection_places.hpp"
#include "system/unique_fd.hpp"

namespace signalbox::http {

struct accepted_connection {
  unique_fd descriptor;  // non-blocking
  boost::asio::ip::tcp::endpoint peer;
  connection_place place;
};

struct acceptor_hooks {
  std::function<void(accepted_connection)> accepted;  // it may throw: that connection is dropped
  std::function<void()> failed;                       // the system had nothing left for another one
};

class acceptor {
 public:
  // Binds and listens. Throws what Asio throws. Hooks are called on the loop.
  acceptor(boost::asio::io_context& io, const config::address& at, connection_places& places,
           acceptor_hooks hooks);
  acceptor(const acceptor&) = delete;

  const config::address& bound() const { return bound_; }  // with the port that port 0 became
  void stop();                                             // call it on the loop

 private:
  using tcp = boost::asio::ip::tcp;
  enum class step { accepted, nothing_waits, again, shortage };

  void wait();
  void accept_some();
  step accept_one(connection_place place);
  void pause(const std::string& why);

  tcp::acceptor socket_;
  boost::asio::steady_timer pause_;
  connection_places& places_;
  const acceptor_hooks hooks_;
  config::address bound_;
  std::chrono::steady_clock::time_point quiet_until_{};  // no line in the log before
};

}  // namespace signalbox::http
