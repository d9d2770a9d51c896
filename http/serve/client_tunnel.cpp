// The client's end of a tunnel, which is given out by its door.
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "http/serve/client_door.hpp"
#include "http/serve/shard.hpp"

namespace signalbox::http {

namespace asio = boost::asio;

// The request refers to RESTinio's connection, which owns the socket.
class client_door::client_end final : public tunnel_end {
 public:
  client_end(std::shared_ptr<client_door> door, restinio::request_handle_t request)
      : door_(std::move(door)), request_(std::move(request)) {}

  void read(asio::mutable_buffer into, transfer_done done) override {
    if (!is_open()) return refuse_transfer(std::move(done));
    door_->socket_->read_raw(into, std::move(done));
  }
  void write(asio::const_buffer all, transfer_done done) override {
    if (!is_open()) return refuse_transfer(std::move(done));
    door_->socket_->write_raw(all, std::move(done));
  }
  bool end_sending() override { return is_open() && door_->socket_->end_sending(); }
  void close(bool has_time) override {
    if (is_open()) door_->socket_->close_raw(has_time);
  }

 private:
  bool is_open() const { return door_->socket_ != nullptr && door_->socket_->is_open(); }
  void refuse_transfer(transfer_done done) const {
    asio::post(door_->home_.io(),
               [done = std::move(done)] { done(asio::error::not_connected, 0); });
  }

  std::shared_ptr<client_door> door_;
  restinio::request_handle_t request_;
};

tunnel_end_ptr client_door::begin_tunnel(restinio::request_handle_t request) {
  is_tunnel_ = true;
  if (socket_ != nullptr && socket_->is_open()) socket_->polled().read_by(never);
  return std::make_shared<client_end>(shared_from_this(), std::move(request));
}

}  // namespace signalbox::http
