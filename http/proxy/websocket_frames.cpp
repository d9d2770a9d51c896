#include "http/proxy/websocket_frames.hpp"

#include <algorithm>

namespace signalbox::http {

void websocket_frames::feed(std::string_view bytes) {
  using restinio::websocket::basic::opcode_t;
  while (!bytes.empty() && !has_close_) {
    const auto skipped = std::min<std::uint64_t>(payload_left_, bytes.size());
    payload_left_ -= skipped;
    bytes.remove_prefix(static_cast<std::size_t>(skipped));
    bytes.remove_prefix(parser_.parser_execute(bytes.data(), bytes.size()));
    if (!parser_.header_parsed()) continue;
    const auto& frame = parser_.current_message();
    has_close_ = frame.m_opcode == opcode_t::connection_close_frame;
    payload_left_ = frame.payload_len();
    parser_.reset();
  }
}

}  // namespace signalbox::http
