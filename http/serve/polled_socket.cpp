#include "http/serve/polled_socket.hpp"

#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <system_error>

namespace signalbox::http {

namespace asio = boost::asio;

namespace {

constexpr int events_at_once = 256;

io_error last_error() {
  return {errno, boost::system::system_category()};
}

int make_set() {
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  return set;
}

}  // namespace

polled_descriptor::polled_descriptor(socket_poller& poller, int descriptor)
    : poller_(poller), descriptor_(descriptor) {
  epoll_event interest{};
  interest.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  interest.data.ptr = this;
  if (::epoll_ctl(poller.set_.native_handle(), EPOLL_CTL_ADD, descriptor, &interest) != 0) {
    unusable_ = last_error();
  }
}

void polled_descriptor::post(transfer_handler_ptr handler, const transfer_result& result) {
  asio::post(poller_.io_, [handler = std::move(handler), result] {
    handler->complete(result.error, result.bytes);
  });
}

// A read that returns less than there is room for took all there was; the next bytes will raise an
// event. The end of the connection is different: it may have come before the read, in the same
// event.
polled_descriptor::transfer_result polled_descriptor::read_now() {
  ssize_t bytes = 0;
  do {
    bytes = ::recv(descriptor_, read_into_.data(), read_into_.size(), 0);
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0) {
    readable_ = errno != EAGAIN;
    return {last_error()};
  }
  if (bytes == 0) return {asio::error::eof};
  readable_ = closing_ || static_cast<std::size_t>(bytes) == read_into_.size();
  return {{}, static_cast<std::size_t>(bytes)};
}

void polled_descriptor::read(asio::mutable_buffer into, transfer_handler_ptr handler) {
  if (unusable_) return post(std::move(handler), {unusable_});
  if (into.size() == 0) return post(std::move(handler), {});  // Asio's TLS posts results this way
  read_into_ = into;
  if (readable_) {
    const auto result = read_now();
    if (result.error != asio::error::would_block) return post(std::move(handler), result);
  }
  reader_ = std::move(handler);
}

std::size_t polled_descriptor::write_now(const write_pieces& pieces, io_error& error) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.pieces.data());
  message.msg_iovlen = pieces.count;
  ssize_t bytes = 0;
  do {
    bytes = ::sendmsg(descriptor_, &message, MSG_NOSIGNAL);
  } while (bytes < 0 && errno == EINTR);
  error = bytes < 0 ? last_error() : io_error{};
  return bytes < 0 ? 0 : static_cast<std::size_t>(bytes);
}

void polled_descriptor::write(const write_pieces& pieces, transfer_handler_ptr handler) {
  if (unusable_) return post(std::move(handler), {unusable_});
  transfer_result result;
  result.bytes = write_now(pieces, result.error);
  if (result.error != asio::error::would_block) return post(std::move(handler), result);
  write_from_ = pieces;
  writer_ = std::move(handler);
}

void polled_descriptor::cancel() {
  if (reader_) post(std::move(reader_), {asio::error::operation_aborted});
  if (writer_) post(std::move(writer_), {asio::error::operation_aborted});
}

void polled_descriptor::close() {
  if (descriptor_ < 0) return;
  cancel();
  // A program that is being started may hold a copy for a moment, which would keep it in the set.
  ::epoll_ctl(poller_.set_.native_handle(), EPOLL_CTL_DEL, descriptor_, nullptr);
  ::close(std::exchange(descriptor_, -1));
}

void polled_descriptor::ready(std::uint32_t events) {
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) closing_ = true;
  if ((events & EPOLLIN) != 0 || closing_) {
    readable_ = true;
    if (reader_) {
      const auto result = read_now();
      if (result.error != asio::error::would_block) {
        std::exchange(reader_, nullptr)->complete(result.error, result.bytes);
      }
    }
  }
  if (descriptor_ < 0 || !writer_ || (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) == 0) return;
  transfer_result result;
  result.bytes = write_now(write_from_, result.error);
  if (result.error == asio::error::would_block) return;
  std::exchange(writer_, nullptr)->complete(result.error, result.bytes);
}

socket_poller::socket_poller(asio::execution_context& io)
    : service(io), io_(static_cast<asio::io_context&>(io)), set_(io_, make_set()) {
  wait();
}

std::unique_ptr<polled_descriptor> socket_poller::watch(int descriptor) {
  auto socket = std::make_unique<polled_descriptor>(*this, descriptor);
  sockets_.insert(socket.get());
  return socket;
}

void socket_poller::retire(std::unique_ptr<polled_descriptor> socket) {
  socket->close();
  sockets_.erase(socket.get());
  if (handling_) retired_.push_back(std::move(socket));
}

// Handlers that wait may own sockets, whose destruction calls retire().
void socket_poller::shutdown() {
  std::vector<transfer_handler_ptr> dropped;
  for (auto* socket : sockets_) {
    dropped.push_back(std::move(socket->reader_));
    dropped.push_back(std::move(socket->writer_));
  }
}

void socket_poller::wait() {
  set_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const io_error& error) {
    if (error) return;
    handle_events();
    wait();
  });
}

void socket_poller::handle_events() {
  std::array<epoll_event, events_at_once> events;
  const int count = ::epoll_wait(set_.native_handle(), events.data(), events_at_once, 0);
  handling_ = true;
  for (int i = 0; i < count; ++i) {
    auto& socket = *static_cast<polled_descriptor*>(events[static_cast<std::size_t>(i)].data.ptr);
    if (socket.descriptor_ < 0) continue;  // closed by a handler before it
    try {
      socket.ready(events[static_cast<std::size_t>(i)].events);
    } catch (const std::exception& e) {
      // An edge is reported once: the other sockets must not miss theirs.
      spdlog::error("a connection's handler failed: {}", e.what());
    }
  }
  handling_ = false;
  retired_.clear();
}

polled_socket::polled_socket(asio::io_context& io)
    : asio::ip::tcp::socket(io), poller_(&asio::use_service<socket_poller>(io)) {}

polled_socket::~polled_socket() {
  io_error ignored;
  close(ignored);
}

polled_descriptor& polled_socket::polled() {
  if (!polled_) {
    io_error ignored;
    native_non_blocking(true, ignored);
    polled_ = poller_->watch(release(ignored));
  }
  return *polled_;
}

bool polled_socket::is_open() const {
  return polled_ != nullptr || asio::ip::tcp::socket::is_open();
}

void polled_socket::cancel(io_error& error) {
  if (!polled_) return void(asio::ip::tcp::socket::cancel(error));
  error = {};
  polled_->cancel();
}

void polled_socket::shutdown(shutdown_type what, io_error& error) {
  if (!polled_) return void(asio::ip::tcp::socket::shutdown(what, error));
  error = ::shutdown(polled_->descriptor(), what) == 0 ? io_error{} : last_error();
}

void polled_socket::close() {
  io_error ignored;
  close(ignored);
}

void polled_socket::close(io_error& error) {
  if (!polled_) return void(asio::ip::tcp::socket::close(error));
  error = {};
  poller_->retire(std::move(polled_));
}

}  // namespace signalbox::http
