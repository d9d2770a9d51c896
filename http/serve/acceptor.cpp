#include "http/serve/acceptor.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

namespace signalbox::http {

namespace asio = boost::asio;

namespace {

constexpr int accepts_in_a_turn = 16;  // then others of the loop have their turn
constexpr auto retry_gap = std::chrono::milliseconds(100);
constexpr auto log_gap = std::chrono::minutes(1);

// Returns whether an error of accept4 is about one connection only; see accept(2).
bool is_of_connection(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPERM:
    case EPROTO:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

}  // namespace

acceptor::acceptor(asio::io_context& io, const config::address& at, connection_places& places,
                   acceptor_hooks hooks)
    : socket_(io), pause_(io), places_(places), hooks_(std::move(hooks)) {
  const tcp::endpoint endpoint(
      asio::ip::make_address(at.host == "localhost" ? "127.0.0.1" : at.host), at.port);
  socket_.open(endpoint.protocol());
  socket_.set_option(tcp::acceptor::reuse_address(true));
  socket_.set_option(tcp::no_delay(true));  // inherited by those that are accepted (tcp(7))
  socket_.bind(endpoint);
  socket_.listen(asio::socket_base::max_listen_connections);
  socket_.native_non_blocking(true);
  const auto bound = socket_.local_endpoint();
  bound_ = {bound.address().to_string(), bound.port(), at.is_tls};
  wait();
}

void acceptor::stop() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  pause_.cancel();
}

void acceptor::wait() {
  socket_.async_wait(tcp::acceptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error && socket_.is_open()) accept_some();
  });
}

void acceptor::accept_some() {
  for (int i = 0; i < accepts_in_a_turn; ++i) {
    auto place = places_.take();
    if (!place) {
      return pause(
          fmt::format("{} connections are open (server.max_connections, or what the limit "
                      "of open files allows)",
                      places_.count()));
    }
    const auto done = accept_one(std::move(place));
    if (done == step::nothing_waits) break;
    if (done == step::shortage) return;
  }
  wait();
}

acceptor::step acceptor::accept_one(connection_place place) {
  accepted_connection made;
  auto length = static_cast<socklen_t>(made.peer.capacity());
  made.descriptor = unique_fd(
      ::accept4(socket_.native_handle(), made.peer.data(), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (made.descriptor.get() < 0) {
    const int error = errno;
    if (error == EAGAIN || error == EWOULDBLOCK) return step::nothing_waits;
    if (is_of_connection(error)) return step::again;
    hooks_.failed();
    pause(std::strerror(error));
    return step::shortage;
  }
  made.peer.resize(length);
  made.place = std::move(place);
  try {
    hooks_.accepted(std::move(made));
  } catch (const std::exception& e) {
    // The client may be gone already.
    spdlog::debug("{}: a connection was dropped: {}", config::to_string(bound_), e.what());
  }
  return step::accepted;
}

// Whoever waits in the kernel's queue is not refused: most shortages are short.
void acceptor::pause(const std::string& why) {
  const auto now = std::chrono::steady_clock::now();
  if (now >= quiet_until_) {
    spdlog::warn("{}: new connections have to wait: {}", config::to_string(bound_), why);
    quiet_until_ = now + log_gap;
  }
  pause_.expires_after(retry_gap);
  pause_.async_wait([this](const boost::system::error_code& error) {
    if (!error && socket_.is_open()) accept_some();
  });
}

}  // namespace signalbox::http
