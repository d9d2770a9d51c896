// The frames of a WebSocket. However they are cut, a Close is found where a plain reading finds it.
#include "http/proxy/websocket_frames.hpp"

#include <cstdint>

#include "fuzz/support.hpp"

namespace signalbox::fuzz {

namespace {

// Reads all frames by RFC 6455 5.2.
bool has_plain_close(std::string_view rest) {
  const auto byte = [&rest](std::size_t at) { return static_cast<std::uint8_t>(rest[at]); };
  while (rest.size() >= 2) {
    const int code = byte(1) & 0x7f;
    const std::size_t length_bytes = code == 126 ? 2 : code == 127 ? 8 : 0;
    const std::size_t head_bytes = 2 + length_bytes + ((byte(1) & 0x80) != 0 ? 4 : 0);
    if (rest.size() < head_bytes) return false;
    std::uint64_t payload = length_bytes == 0 ? static_cast<std::uint64_t>(code) : 0;
    for (std::size_t i = 0; i < length_bytes; ++i) payload = payload << 8 | byte(2 + i);
    if ((byte(0) & 0x0f) == 8) return true;
    rest.remove_prefix(head_bytes);
    if (payload > rest.size()) return false;
    rest.remove_prefix(static_cast<std::size_t>(payload));
  }
  return false;
}

}  // namespace

void try_input(std::string_view input) {
  const bool expected = has_plain_close(input);
  const auto read = [&](const cut& ends) {
    http::websocket_frames frames;
    feed_pieces(input, ends, [&](std::string_view piece) { frames.feed(piece); });
    return frames.has_close();
  };
  require(read(uncut(input)) == expected, "a Close is found where it is");
  for (const auto& ends : cuts_of(input)) {
    require(read(ends) == expected, "a cut changes nothing");
  }
}

}  // namespace signalbox::fuzz
