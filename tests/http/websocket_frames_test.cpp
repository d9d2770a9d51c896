// The frames of a WebSocket are followed however their bytes come.
#include "http/proxy/websocket_frames.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

namespace signalbox::http {

namespace {

constexpr char text = '\x81', close = '\x88', ping = '\x89';

std::string frame(char first, const std::string& payload, bool is_masked = false) {
  std::string out(1, first);
  const auto size = payload.size();
  const int mask_bit = is_masked ? 0x80 : 0;
  const auto add_length = [&](int code, int bytes) {
    out += static_cast<char>(mask_bit | code);
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(size >> (8 * i));
  };
  if (size < 126) {
    add_length(static_cast<int>(size), 0);
  } else if (size < 65536) {
    add_length(126, 2);
  } else {
    add_length(127, 8);
  }
  if (is_masked) out += "mask";
  return out + payload;
}

bool has_close(const std::string& bytes, std::size_t piece) {
  websocket_frames frames;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    frames.feed(std::string_view(bytes).substr(at, piece));
  }
  return frames.has_close();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(websocket_frames_)

BOOST_AUTO_TEST_CASE(a_close_is_found_behind_frames_of_all_lengths) {
  for (const bool is_masked : {false, true}) {
    std::string open = frame(ping, "", is_masked);
    for (const std::size_t size : {1u, 125u, 126u, 65535u, 65536u}) {
      open += frame(text, std::string(size, close), is_masked);  // which is no frame there
    }
    for (const std::size_t piece : {1u, 2u, 7u, 4096u, 1u << 20}) {
      BOOST_TEST(!has_close(open, piece));
      BOOST_TEST(has_close(open + frame(close, "\x03\xe8", is_masked), piece));
      BOOST_TEST(has_close(open + frame(close, "", is_masked) + "more", piece));
      BOOST_TEST(!has_close(open + frame(close, "").substr(0, 1), piece));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_frame_of_any_length_that_never_ends_is_no_close) {
  const std::string endless = "\x82\x7f" + std::string(8, '\xff');
  BOOST_TEST(!has_close(endless + std::string(1000, close), 3));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
