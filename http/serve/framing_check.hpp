// Checks line ends, versions and chunk lines of requests, where the parser accepts what another
// reader might read differently (RFC 9112): a line that ends without CR (2.2), a version that is an
// H and any four bytes before its digits, line ends too (2.3), a line that continues the one
// before it (5.2), blanks or extensions behind the size of a chunk (7.1). It runs ahead of the
// parser, over the same bytes, and both must find the same end of each message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace signalbox::http {

class framing_check {
 public:
  // More bytes of the connection, all of which the parser gets. They stay valid until it has read
  // them.
  void feed(std::string_view bytes);

  // The parser is at the first byte of a message, which is the first that was not checked yet.
  void message_begins();
  // The parser is at the end of the head. `length`: of the body that follows.
  void body_has_length(std::uint64_t length);
  void body_has_chunks();

  // Returns how many bytes were not checked yet: at the end of a head, those that lie behind it.
  std::size_t unread() const { return rest_.size(); }

  // Returns whether anything but empty lines follows in the bytes that came.
  bool has_more() const { return rest_.find_first_not_of("\r\n") != rest_.npos; }

  // Returns whether the message has ended here, too. The parser is behind its last byte.
  bool is_at_end() const { return state_ == state::between; }

  // Why the bytes are refused; empty: they are not.
  std::string_view problem() const { return problem_; }

 private:
  enum class state : std::uint8_t {
    between,  // of two messages
    head,
    head_end,  // until the parser says what follows
    body,
    chunk_size,
    chunk_line_end,  // behind the size
    chunk_data,
    chunk_end,  // behind the data
    trailers,
    refused,
  };

  void run();
  void skip();
  bool read_lines();
  bool read_words(std::string_view part);
  void read_size();
  bool read_crlf();
  void refuse(std::string_view why);

  state state_ = state::between;
  std::string_view rest_;  // of the bytes: not checked yet
  std::string_view problem_;
  std::uint64_t left_ = 0;           // of the body or the chunk, in bytes
  std::uint32_t lines_ = 0;          // of the head or the trailers, so far
  std::uint64_t line_bytes_ = 0;     // of the line that has begun
  std::uint32_t words_ = 0;          // of the request line, so far
  std::uint8_t protocol_bytes_ = 0;  // of its version, so far
  char last_ = 0;                    // the byte before rest_
  std::uint8_t digits_ = 0;          // of the chunk's size
};

}  // namespace signalbox::http
