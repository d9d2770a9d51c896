#include "http/serve/framing_check.hpp"

#include <algorithm>

namespace signalbox::http {

namespace {

constexpr std::uint8_t max_size_digits = 15;  // so that no size overflows
constexpr std::uint32_t version_word = 3;     // of a request line
constexpr std::string_view protocol = "HTTP/";

// Returns the value of a hexadecimal digit; -1: it is none.
int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void framing_check::feed(std::string_view bytes) {
  rest_ = bytes;
  run();
}

void framing_check::message_begins() {
  if (state_ != state::between) return;
  // Empty lines before a request do not count (RFC 9112 2.2), and the parser has passed them.
  rest_.remove_prefix(std::min(rest_.find_first_not_of("\r\n"), rest_.size()));
  state_ = state::head;
  lines_ = 0;
  line_bytes_ = 0;
  words_ = 0;
  protocol_bytes_ = 0;
  run();
}

void framing_check::body_has_length(std::uint64_t length) {
  if (state_ != state::head_end) return;
  left_ = length;
  state_ = state::body;
  run();
}

void framing_check::body_has_chunks() {
  if (state_ != state::head_end) return;
  state_ = state::chunk_size;
  left_ = 0;
  digits_ = 0;
  run();
}

// Goes on until the bytes are used up, or the parser has to say what comes next.
void framing_check::run() {
  for (bool goes_on = true; goes_on;) {
    switch (state_) {
      case state::head:
        goes_on = read_lines();
        if (goes_on) state_ = state::head_end;
        break;
      case state::body:
        skip();
        goes_on = left_ == 0;
        if (goes_on) state_ = state::between;
        break;
      case state::chunk_size:
        read_size();
        goes_on = !rest_.empty();
        break;
      case state::chunk_line_end:
        goes_on = read_crlf();
        if (!goes_on) break;
        state_ = left_ == 0 ? state::trailers : state::chunk_data;
        lines_ = 1;
        line_bytes_ = 0;
        break;
      case state::chunk_data:
        skip();
        goes_on = left_ == 0;
        if (goes_on) state_ = state::chunk_end;
        break;
      case state::chunk_end:
        goes_on = read_crlf();
        if (!goes_on) break;
        state_ = state::chunk_size;
        digits_ = 0;
        break;
      case state::trailers:
        goes_on = read_lines();
        if (goes_on) state_ = state::between;
        break;
      case state::between:
      case state::head_end:
      case state::refused:
        return;
    }
  }
}

void framing_check::skip() {
  const auto count = std::min<std::uint64_t>(left_, rest_.size());
  rest_.remove_prefix(count);
  left_ -= count;
}

// Reads lines up to an empty one. Returns false when the bytes end before, or are refused.
bool framing_check::read_lines() {
  while (!rest_.empty()) {
    const bool is_fold = line_bytes_ == 0 && lines_ > 0 && (rest_[0] == ' ' || rest_[0] == '\t');
    if (is_fold) {
      refuse("A header field must not continue on a second line.");
      return false;
    }
    const auto end = rest_.find('\n');
    const auto line = rest_.substr(0, end);
    const auto cr = line.find('\r');
    const bool cr_is_before = line_bytes_ > 0 && last_ == '\r' && !line.empty();
    if (cr_is_before || (cr != line.npos && cr + 1 != line.size())) {
      refuse("A CR must be followed by LF.");
      return false;
    }
    if (lines_ == 0 && !read_words(line)) {
      refuse("The version of a request must begin with HTTP/.");
      return false;
    }
    line_bytes_ += line.size();
    if (!line.empty()) last_ = line.back();
    if (end == rest_.npos) {
      rest_ = {};
      return false;
    }
    if (line_bytes_ == 0 || last_ != '\r') {
      refuse("Each line of a request must end with CRLF.");
      return false;
    }
    rest_.remove_prefix(end + 1);
    const bool is_empty = line_bytes_ == 1;
    line_bytes_ = 0;
    if (is_empty) return true;
    ++lines_;
  }
  return false;
}

// Reads more of a request line. Returns false when its version does not begin as it must.
bool framing_check::read_words(std::string_view part) {
  char before = line_bytes_ == 0 ? ' ' : last_;
  for (const char c : part) {
    if (before == ' ' && c != ' ') ++words_;
    before = c;
    if (words_ != version_word || protocol_bytes_ == protocol.size()) continue;
    if (c != protocol[protocol_bytes_++]) return false;
  }
  return true;
}

void framing_check::read_size() {
  while (!rest_.empty()) {
    const int value = digit_value(rest_[0]);
    if (value < 0) {
      if (digits_ == 0) return refuse("A chunk must begin with its size in hexadecimal digits.");
      state_ = state::chunk_line_end;
      last_ = 0;
      return;
    }
    if (++digits_ > max_size_digits) return refuse("A chunk is too large.");
    left_ = left_ * 16 + static_cast<std::uint64_t>(value);
    rest_.remove_prefix(1);
  }
}

// Returns true once CR and LF were read. `last_` is the CR if that came before.
bool framing_check::read_crlf() {
  while (!rest_.empty()) {
    const char expected = last_ == '\r' ? '\n' : '\r';
    if (rest_[0] != expected) {
      refuse(state_ == state::chunk_end
                 ? "The data of a chunk must be as long as its size says, and end with CRLF."
                 : "Nothing but CRLF may follow the size of a chunk.");
      return false;
    }
    rest_.remove_prefix(1);
    last_ = expected == '\n' ? char{} : expected;
    if (expected == '\n') return true;
  }
  return false;
}

void framing_check::refuse(std::string_view why) {
  problem_ = why;
  state_ = state::refused;
  rest_ = {};
}

}  // namespace signalbox::http
