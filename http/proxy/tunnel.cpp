#include "http/proxy/tunnel.hpp"

#include <boost/asio/error.hpp>
#include <utility>

namespace signalbox::http {

namespace asio = boost::asio;

tunnel::tunnel(tunnel_end_ptr client, tunnel_end_ptr runtime, std::function<void(cause)> tell)
    : to_runtime_{client, runtime, cause::client_broke, cause::runtime_broke, 0, false, {}, {}},
      to_client_{runtime, client, cause::runtime_broke, cause::client_broke, 0, false, {}, {}},
      tell_(std::move(tell)) {}

void tunnel::expect_websocket() {
  to_runtime_.frames.emplace();
  to_client_.frames.emplace();
}

void tunnel::start(std::string head, std::string_view rest) {
  take(to_client_, rest);
  first_ = std::move(head);
  first_.append(rest);
  write(to_client_, asio::buffer(first_));
  read(to_runtime_);
}

void tunnel::read(direction& way) {
  way.from->read(asio::buffer(way.buffer),
                 [me = shared_from_this(), &way](const io_error& error, std::size_t bytes) {
                   if (me->is_closed_ || way.has_ended) return;
                   auto& other = &way == &me->to_client_ ? me->to_runtime_ : me->to_client_;
                   const bool may_end = &way == &me->to_runtime_ || !way.frames || me->is_over();
                   if (error == asio::error::eof && may_end) return me->end(way, other);
                   if (error) return me->broke(way.from_broke);
                   me->take(way, {way.buffer.data(), bytes});
                   me->write(way, asio::buffer(way.buffer.data(), bytes));
                 });
}

void tunnel::write(direction& way, asio::const_buffer bytes) {
  way.to->write(bytes, [me = shared_from_this(), &way](const io_error& error, std::size_t) {
    if (me->is_closed_ || way.has_ended) return;
    if (error) return me->broke(way.to_broke);
    me->read(way);
  });
}

void tunnel::take(direction& way, std::string_view bytes) {
  way.bytes += bytes.size();
  if (way.frames) way.frames->feed(bytes);
}

// Who closes a WebSocket says so in a frame, and a client may just leave. How the connections end
// behind that does not matter.
bool tunnel::is_over() const {
  if (!to_runtime_.frames) return false;
  return to_runtime_.has_ended || to_runtime_.frames->has_close() || to_client_.frames->has_close();
}

void tunnel::broke(cause who) {
  finish(is_over() ? cause::complete : who);
}

void tunnel::end(direction& way, direction& other) {
  way.has_ended = true;
  if (!way.to->end_sending()) other.has_ended = true;
  if (other.has_ended) finish(cause::complete);
}

void tunnel::close_ends(cause how) {
  is_closed_ = true;
  to_runtime_.from->close(how != cause::client_broke);
  to_client_.from->close(how != cause::runtime_broke);
}

void tunnel::finish(cause how) {
  close_ends(how);
  if (const auto tell = std::exchange(tell_, nullptr)) tell(how);
}

void tunnel::close() {
  tell_ = nullptr;
  if (!is_closed_) close_ends(cause::complete);
}

}  // namespace signalbox::http
