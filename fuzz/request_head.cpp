// Requests as a client's connection reads them: http_parser with framing_check ahead of it, under
// the rules of client_door and routes. A plain reading must find the end of each request where they
// do, and no cut may change what they find.
#include <http_parser.h>

#include <algorithm>
#include <restinio/http_headers.hpp>
#include <string>
#include <vector>

#include "fuzz/plain_http.hpp"
#include "fuzz/support.hpp"
#include "http/serve/framing_check.hpp"
#include "http/serve/request_headers.hpp"

namespace signalbox::fuzz {

namespace {

using namespace signalbox::http;

constexpr header_limits limits{.field_bytes = 16 * 1024, .count = 100};
constexpr int go_on = 0, fail = -1;

struct message {
  std::string method, target, body;
  plain_fields fields;
  std::size_t head_end = 0, end = 0;  // in the input
  bool has_ended = false;

  bool operator==(const message&) const = default;
};

// What client_door, its parser's callbacks and RESTinio's connection do with the bytes that come.
class door {
 public:
  door() { restart_parser(); }

  void feed(std::string_view piece) {
    if (is_refused) return;
    framing_.feed(piece);
    for (read_ += piece.size(); !piece.empty() && !is_refused;) {
      const auto used = http_parser_execute(&parser_, &callbacks(), piece.data(), piece.size());
      const auto error = HTTP_PARSER_ERRNO(&parser_);
      piece.remove_prefix(std::min(used, piece.size()));
      if (error == HPE_PAUSED) {
        require(framing_.unread() == piece.size(), "check and parser are at the same byte");
        require(framing_.has_more() == (piece.find_first_not_of("\r\n") != piece.npos),
                "the check knows whether another request has begun");
        messages.back().end = read_ - piece.size();
        restart_parser();
      } else {
        is_refused = error != HPE_OK;
        require(is_refused || piece.empty(), "the parser reads all that it does not refuse");
      }
    }
  }

  // The check may have refused what the parser has no callback for yet.
  void end() {
    is_refused = is_refused || !framing_.problem().empty();
    if (is_refused && !messages.empty() && !messages.back().has_ended) messages.pop_back();
  }

  std::vector<message> messages;  // the last one may not have ended
  bool is_refused = false;

 private:
  void restart_parser() {
    http_parser_init(&parser_, HTTP_REQUEST);
    parser_.data = this;
  }

  static door& of(http_parser* parser) { return *static_cast<door*>(parser->data); }

  int message_begins() {
    messages.emplace_back();
    has_value_ = true;
    framing_.message_begins();
    return go_on;
  }

  int add_name(std::string_view part) {
    if (messages.back().head_end != 0) return go_on;  // of a trailer
    if (has_value_) fields_.emplace_back();
    has_value_ = false;
    fields_.back().first.append(part);
    return go_on;
  }

  int add_value(std::string_view part) {
    if (messages.back().head_end != 0) return go_on;
    has_value_ = true;
    fields_.back().second.append(part);
    return go_on;
  }

  int head_ends() {
    auto& now = messages.back();
    parser_.upgrade = 0;
    const bool is_chunked = (parser_.flags & F_CHUNKED) != 0;
    const auto length = (parser_.flags & F_CONTENTLENGTH) != 0 ? parser_.content_length : 0;
    const bool is_http10 = parser_.http_major == 1 && parser_.http_minor == 0;
    const bool is_other_version = parser_.http_major != 1 || parser_.http_minor > 1;
    now.method = http_method_str(static_cast<http_method>(parser_.method));
    now.head_end = read_ - framing_.unread();
    restinio::http_request_header_t header;
    for (auto& [name, value] : fields_) {
      now.fields.push_back(plain_field(name, value));
      header.add_field(std::move(name), std::move(value));
    }
    fields_.clear();
    request_headers read;
    const bool is_bad = read_headers(header, limits, true, read).has_value();
    if (is_bad || is_other_version || (is_http10 && is_chunked)) return fail;
    if (!framing_.problem().empty()) return fail;
    if (is_chunked) {
      framing_.body_has_chunks();
      return chunk_begins();
    }
    framing_.body_has_length(length);
    return go_on;
  }

  int chunk_begins() const { return framing_.problem().empty() ? go_on : fail; }

  int add_body(std::string_view part) {
    messages.back().body.append(part);
    return chunk_begins();
  }

  int message_ends() {
    if (!framing_.is_at_end()) {
      require(!framing_.problem().empty(), "check and parser find the same end of a message");
      return fail;
    }
    messages.back().has_ended = true;
    http_parser_pause(&parser_, 1);
    return go_on;
  }

  static const http_parser_settings& callbacks() {
    static const http_parser_settings settings = [] {
      http_parser_settings s;
      http_parser_settings_init(&s);
      s.on_message_begin = [](http_parser* p) { return of(p).message_begins(); };
      s.on_url = [](http_parser* p, const char* at, std::size_t n) {
        of(p).messages.back().target.append(at, n);
        return go_on;
      };
      s.on_header_field = [](http_parser* p, const char* at, std::size_t n) {
        return of(p).add_name({at, n});
      };
      s.on_header_value = [](http_parser* p, const char* at, std::size_t n) {
        return of(p).add_value({at, n});
      };
      s.on_headers_complete = [](http_parser* p) { return of(p).head_ends(); };
      s.on_chunk_header = [](http_parser* p) { return of(p).chunk_begins(); };
      s.on_body = [](http_parser* p, const char* at, std::size_t n) {
        return of(p).add_body({at, n});
      };
      s.on_message_complete = [](http_parser* p) { return of(p).message_ends(); };
      return s;
    }();
    return settings;
  }

  http_parser parser_{};
  framing_check framing_;
  std::size_t read_ = 0;  // bytes so far
  plain_fields fields_;   // of the head that is being read
  bool has_value_ = true;
};

door read_all(std::string_view input, const cut& ends) {
  door reader;
  feed_pieces(input, ends, [&reader](std::string_view piece) { reader.feed(piece); });
  reader.end();
  return reader;
}

void require_plain_reading(const door& read, std::string_view input) {
  std::size_t from = 0;
  for (const auto& m : read.messages) {
    if (!m.has_ended) return;
    const auto plain = read_plain_request(input, from);
    require(plain.has_value(), "what ends without doubt is a request by RFC 9112");
    require(m.head_end == plain->head_end, "the head ends where RFC 9112 says");
    require(m.end == plain->end, "the request ends where RFC 9112 says");
    require(m.method == plain->method && m.target == plain->target, "the request line is the same");
    require(m.fields == plain->fields, "the fields are the same");
    require(m.body == plain->body, "the body is the same");
    from = m.end;
  }
}

}  // namespace

void try_input(std::string_view input) {
  const auto whole = read_all(input, uncut(input));
  require_plain_reading(whole, input);
  for (const auto& ends : cuts_of(input)) {
    const auto read = read_all(input, ends);
    require_plain_reading(read, input);
    require(read.is_refused == whole.is_refused, "a cut changes nothing about a refusal");
    require(read.messages == whole.messages, "a cut changes no request");
  }
}

}  // namespace signalbox::fuzz
