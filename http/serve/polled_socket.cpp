#include "http/serve/polled_socket.hpp"

#include <linux/sockios.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <system_error>

namespace signalbox::http {

namespace asio = boost::asio;

namespace {

constexpr int events_at_once = 256;
constexpr auto linger_time = std::chrono::seconds(2);
constexpr std::size_t dropped_bytes = 1024 * 1024;  // of a lingering socket, by one system call
constexpr int drops_at_once = 16;

// What is done at the end of a turn may bring more of it, as a read of a socket that always has
// bytes does. After so many rounds others of the loop have their turn.
constexpr int rounds_at_turn_end = 4;

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
  poller_.complete_later({std::move(handler), result.error, result.bytes});
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
  paced_bytes_ += static_cast<std::size_t>(bytes);
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
  if (write_timeout_ > duration::zero()) {
    write_by_ = std::chrono::steady_clock::now() + write_timeout_;
    ::ioctl(descriptor_, SIOCOUTQ, &unsent_bytes_);
  }
}

void polled_descriptor::cancel() {
  if (reader_) post(std::move(reader_), {asio::error::operation_aborted});
  if (writer_) post(std::move(writer_), {asio::error::operation_aborted});
}

void polled_descriptor::reset_when_closed() {
  const ::linger no_time{1, 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &no_time, sizeof no_time);
}

void polled_descriptor::close() {
  if (descriptor_ < 0) return;
  cancel();
  // A program that is being started may hold a copy for a moment, which would keep it in the set.
  ::epoll_ctl(poller_.set_.native_handle(), EPOLL_CTL_DEL, descriptor_, nullptr);
  ::close(std::exchange(descriptor_, -1));
}

// Reads without copying (tcp(7), MSG_TRUNC) all that is there. At the end there is nothing left to
// wait for.
void polled_descriptor::drop_input() {
  for (int i = 0; i < drops_at_once; ++i) {
    const auto bytes = ::recv(descriptor_, nullptr, dropped_bytes, MSG_TRUNC);
    if (bytes > 0 || (bytes < 0 && errno == EINTR)) continue;
    if (bytes == 0 || errno != EAGAIN) close();
    return;
  }
}

void polled_descriptor::read_by(time_point at) {
  read_by_ = at;
  pace_.reset();
}

void polled_descriptor::expect_pace(const read_pace& pace) {
  pace_ = pace;
  progress_at_ = pace.begin;
  paced_bytes_ = seen_bytes_ = 0;
}

// Progress is looked for with the deadlines, as that takes no clock for each read. A write that
// waits makes progress too while the kernel sends what it has.
void polled_descriptor::see_progress(time_point now) {
  if (std::exchange(seen_bytes_, paced_bytes_) != paced_bytes_) progress_at_ = now;
  if (!writer_ || now < write_by_) return;
  int unsent = 0;
  if (::ioctl(descriptor_, SIOCOUTQ, &unsent) != 0 || unsent >= unsent_bytes_) return;
  unsent_bytes_ = unsent;
  write_by_ = now + write_timeout_;
}

bool polled_descriptor::is_late(time_point now) const {
  if (writer_ && now >= write_by_) return true;
  if (!reader_) return false;
  if (!pace_) return now >= read_by_;
  const std::chrono::duration<double> earned(static_cast<double>(paced_bytes_) /
                                             pace_->bytes_per_s);
  return now >= progress_at_ + pace_->timeout || now - pace_->begin - pace_->timeout >= earned;
}

void polled_descriptor::end_late(time_point now) {
  auto& late = writer_ && now >= write_by_ ? writer_ : reader_;
  std::exchange(late, nullptr)->complete(asio::error::timed_out, 0);
}

void polled_descriptor::ready(std::uint32_t events) {
  const bool is_broken = (events & (EPOLLHUP | EPOLLERR)) != 0;
  const bool has_ended = is_broken || (events & EPOLLRDHUP) != 0;
  if (has_ended) closing_ = true;
  if (is_lingering_) return drop_input();
  handle_transfers(events);
  if (has_ended && descriptor_ >= 0 && tell_peer_end_) tell_peer_end_(is_broken);
}

void polled_descriptor::handle_transfers(std::uint32_t events) {
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

void socket_poller::linger(std::unique_ptr<polled_descriptor> socket, connection_place place) {
  socket->cancel();
  ::shutdown(socket->descriptor(), SHUT_WR);
  socket->is_lingering_ = true;
  socket->drop_input();
  lingering_.push_back(
      {std::move(socket), std::move(place), std::chrono::steady_clock::now() + linger_time});
}

void socket_poller::check_deadlines(time_point now) {
  std::vector<polled_descriptor*> late;
  for (auto* socket : sockets_) {
    socket->see_progress(now);
    if (socket->is_late(now)) late.push_back(socket);
  }
  handling_ = true;
  for (auto* socket : late) {
    try {
      if (socket->descriptor_ >= 0 && socket->is_late(now)) socket->end_late(now);
    } catch (const std::exception& e) {
      spdlog::error("a connection's handler failed: {}", e.what());
    }
  }
  const auto is_over = [&](const lingering& l) {
    return l.socket->descriptor_ < 0 || now >= l.until;
  };
  for (auto& l : lingering_) {
    if (is_over(l)) retire(std::move(l.socket));
  }
  std::erase_if(lingering_, [](const lingering& l) { return l.socket == nullptr; });
  end_handling();
}

void socket_poller::end_handling() {
  handling_ = false;
  retired_.clear();
}

// Handlers that wait may own sockets, whose destruction calls retire().
void socket_poller::shutdown() {
  std::vector<transfer_handler_ptr> dropped;
  for (auto& l : lingering_) retire(std::move(l.socket));
  lingering_.clear();
  for (auto* socket : sockets_) {
    dropped.push_back(std::move(socket->reader_));
    dropped.push_back(std::move(socket->writer_));
  }
  for (auto& done : completed_) dropped.push_back(std::move(done.handler));
  completed_.clear();
  tasks_.clear();
}

void socket_poller::wait() {
  set_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const io_error& error) {
    if (error) return;
    in_turn_ = true;
    handle_events();
    end_turn();
    wait();
  });
}

void socket_poller::complete_later(completion done) {
  completed_.push_back(std::move(done));
  end_turn_later();
}

void socket_poller::at_turn_end(std::function<void()> task) {
  tasks_.push_back(std::move(task));
  end_turn_later();
}

void socket_poller::end_turn_later() {
  if (in_turn_ || std::exchange(end_posted_, true)) return;
  asio::post(io_, [this] {
    end_posted_ = false;
    end_turn();
  });
}

// Completions come first: a task is for the end of all that the turn brought.
void socket_poller::end_turn() {
  const auto guarded = [](const auto& run) {
    try {
      run();
    } catch (const std::exception& e) {
      spdlog::error("a connection's handler failed: {}", e.what());
    }
  };
  in_turn_ = true;
  for (int i = 0; i < rounds_at_turn_end && !(completed_.empty() && tasks_.empty()); ++i) {
    completing_.swap(completed_);
    for (auto& done : completing_) {
      guarded([&] { std::exchange(done.handler, nullptr)->complete(done.error, done.bytes); });
    }
    completing_.clear();
    running_.swap(tasks_);
    for (const auto& task : running_) guarded(task);
    running_.clear();
  }
  in_turn_ = false;
  if (!completed_.empty() || !tasks_.empty()) end_turn_later();
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
  end_handling();
}

polled_socket::polled_socket(asio::io_context& io)
    : asio::ip::tcp::socket(io), poller_(&asio::use_service<socket_poller>(io)) {}

polled_socket::polled_socket(asio::io_context& io, unique_fd descriptor, connection_place place)
    : polled_socket(io) {
  place_ = std::move(place);
  polled_ = poller_->watch(descriptor.get());
  descriptor.release();
}

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
  return (polled_ && polled_->descriptor() >= 0) || asio::ip::tcp::socket::is_open();
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
  place_.reset();
  if (!polled_) return void(asio::ip::tcp::socket::close(error));
  error = {};
  poller_->retire(std::move(polled_));
}

void polled_socket::linger() {
  if (!polled_) return close();
  poller_->linger(std::move(polled_), std::move(place_));
}

}  // namespace signalbox::http
