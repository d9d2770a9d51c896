// Follows the frames of one side of a WebSocket (RFC 6455 5.2), whose payload nobody reads.
#pragma once

#include <cstdint>
#include <memory>  // RESTinio forgets it
#include <restinio/websocket/impl/ws_parser.hpp>
#include <string_view>

namespace signalbox::http {

class websocket_frames {
 public:
  // Takes the next bytes of this side, however they are split.
  void feed(std::string_view bytes);
  // Whether it has begun a Close frame: it sends no more (RFC 6455 5.5.1).
  bool has_close() const { return has_close_; }

 private:
  restinio::websocket::basic::impl::ws_parser_t parser_;  // of heads
  std::uint64_t payload_left_ = 0;                        // bytes
  bool has_close_ = false;
};

}  // namespace signalbox::http
