// Copies bytes both ways between a client and a runtime that have left HTTP, such as for a
// WebSocket. Each way has one buffer, which is read again when it was written: a slow reader slows
// its writer down. Of a WebSocket the frames are followed, too: it is over when one side has said
// so or the client has left; when its runtime ends without a word, it broke.
//
//   start ─▶ client ⇄ runtime ─end of one─▶ the other way goes on ─end─▶ ended: complete
//                     └───────error of one────────────────────────────▶ ended: it broke
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/proxy/websocket_frames.hpp"
#include "http/serve/tunnel_end.hpp"

namespace signalbox::http {

class tunnel : public std::enable_shared_from_this<tunnel> {
 public:
  enum class cause : std::uint8_t { complete, client_broke, runtime_broke };

  // `tell` is called once, from the loop, when it ends by itself; both ends are closed then.
  tunnel(tunnel_end_ptr client, tunnel_end_ptr runtime, std::function<void(cause)> tell);

  void expect_websocket();  // before start()
  // `head` goes to the client before all others, then `rest`, which came from the runtime. Call it
  // once.
  void start(std::string head, std::string_view rest = {});
  void close();  // tells nobody

  // Whether a side of a WebSocket has closed it, and only the connections have to end.
  bool is_over() const;

  std::uint64_t bytes_of_client() const { return to_runtime_.bytes; }
  std::uint64_t bytes_of_runtime() const { return to_client_.bytes; }

 private:
  struct direction {
    tunnel_end_ptr from, to;
    cause from_broke, to_broke;
    std::uint64_t bytes = 0;  // read so far
    bool has_ended = false;
    std::optional<websocket_frames> frames;  // none: it is no WebSocket
    std::array<char, 16 * 1024> buffer;
  };

  void read(direction& way);
  void write(direction& way, boost::asio::const_buffer bytes);
  void take(direction& way, std::string_view bytes);
  void end(direction& way, direction& other);
  void broke(cause who);
  void close_ends(cause how);
  void finish(cause how);

  direction to_runtime_, to_client_;
  std::string first_;
  std::function<void(cause)> tell_;
  bool is_closed_ = false;
};

}  // namespace signalbox::http
