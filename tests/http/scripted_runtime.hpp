// A runtime on the loop of a test, which reads requests and says what the test tells it to.
#pragma once

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace signalbox::http {

class scripted_runtime {
 public:
  using tcp = boost::asio::ip::tcp;

  explicit scripted_runtime(boost::asio::io_context& io,
                            const tcp::endpoint& at = {boost::asio::ip::address_v4::loopback(), 0})
      : acceptor_(io, at) {
    accept();
  }

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  // To the sender of the last request. Nagle's algorithm is on unless it was switched off for it.
  void switch_nagle_off() { last_->socket.set_option(tcp::no_delay(true)); }
  void say(const std::string& bytes) {
    boost::asio::write(last_->socket, boost::asio::buffer(bytes));
  }
  void say_whole(const std::string& body, const std::string& status = "200 OK",
                 const std::string& fields = {}) {
    say("HTTP/1.1 " + status + "\r\nContent-Type: application/json\r\n" + fields +
        "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  // Whether the sender of the last request has acknowledged all that was said to it.
  bool is_acknowledged() {
    int unacknowledged = -1;
    return ::ioctl(last_->socket.native_handle(), SIOCOUTQ, &unacknowledged) == 0 &&
           unacknowledged == 0;
  }
  void hang_up() { last_->socket.close(); }
  void reset() {
    last_->socket.set_option(boost::asio::socket_base::linger(true, 0));
    last_->socket.close();
  }
  void hang_up_all() {
    for (const auto& weak : sessions_) {
      if (const auto one = weak.lock()) one->socket.close();
    }
  }

  std::vector<std::string> requests;  // with their bodies
  int connections = 0;
  int closed_by_caller = 0;

 private:
  struct session {
    explicit session(tcp::socket s) : socket(std::move(s)) {}

    tcp::socket socket;
    std::string unread;
    std::array<char, 4096> buffer{};
  };
  using session_ptr = std::shared_ptr<session>;

  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, tcp::socket socket) {
      if (error) return;
      ++connections;
      auto one = std::make_shared<session>(std::move(socket));
      sessions_.push_back(one);
      read(one);
      accept();
    });
  }

  void read(const session_ptr& one) {
    one->socket.async_read_some(boost::asio::buffer(one->buffer),
                                [this, one](boost::system::error_code error, std::size_t bytes) {
                                  if (error == boost::asio::error::operation_aborted)
                                    return;  // we hung up
                                  if (error) return void(++closed_by_caller);
                                  one->unread.append(one->buffer.data(), bytes);
                                  take_request(one);
                                  read(one);
                                });
  }

  void take_request(const session_ptr& one) {
    const auto head = one->unread.find("\r\n\r\n");
    if (head == std::string::npos) return;
    constexpr std::string_view field = "\r\nContent-Length: ";
    const auto length_at = one->unread.find(field);
    const std::size_t body =
        length_at >= head ? 0 : std::strtoul(&one->unread[length_at + field.size()], nullptr, 10);
    if (one->unread.size() < head + 4 + body) return;
    requests.push_back(std::exchange(one->unread, {}));
    last_ = one;
  }

  tcp::acceptor acceptor_;
  session_ptr last_;
  std::vector<std::weak_ptr<session>> sessions_;
};

}  // namespace signalbox::http
