#include "http/serve/framing_check.hpp"

#include <http_parser.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

namespace signalbox::http {
namespace {

// A parser and the check, as a connection runs them.
struct checked_reader {
  explicit checked_reader(std::string all_bytes) : bytes(std::move(all_bytes)) {
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = this;
    http_parser_settings_init(&settings);
    settings.on_message_begin = [](http_parser* p) {
      of(p).check.message_begins();
      return 0;
    };
    settings.on_headers_complete = [](http_parser* p) {
      auto& ours = of(p).check;
      if ((p->flags & F_CHUNKED) != 0) {
        ours.body_has_chunks();
      } else {
        ours.body_has_length((p->flags & F_CONTENTLENGTH) != 0 ? p->content_length : 0);
      }
      return 0;
    };
    settings.on_message_complete = [](http_parser* p) {
      auto& me = of(p);
      ++me.messages;
      me.agree = me.agree && (me.check.is_at_end() || !me.check.problem().empty());
      return 0;
    };
  }

  // Gives the bytes in pieces of a size; the parser alone has failed when it returns false.
  bool read(std::size_t piece) {
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const auto part = std::string_view(bytes).substr(at, piece);
      check.feed(part);
      http_parser_execute(&parser, &settings, part.data(), part.size());
      if (HTTP_PARSER_ERRNO(&parser) != HPE_OK) return false;
    }
    return true;
  }

  static checked_reader& of(http_parser* p) { return *static_cast<checked_reader*>(p->data); }

  std::string bytes;
  framing_check check;
  http_parser parser{};
  http_parser_settings settings{};
  int messages = 0;
  bool agree = true;
};

const std::string plain_head = "POST / HTTP/1.1\r\nHost: x\r\n";
const std::string with_chunks = plain_head + "Transfer-Encoding: chunked\r\n\r\n";

}  // namespace

BOOST_AUTO_TEST_SUITE(framing_checks)

BOOST_AUTO_TEST_CASE(what_the_standard_has_passes_however_it_is_cut) {
  for (const auto& [bytes, messages] : std::vector<std::pair<std::string, int>>{
           {plain_head + "\r\n", 1},
           {"\r\n\r\n\n" + plain_head + "\r\n", 1},
           {plain_head + "\r\n" + plain_head + "\r\n", 2},
           {plain_head + "Content-Length: 5\r\n\r\na\nb\n " + plain_head + "\r\n", 2},
           {plain_head + "Content-Length: 0\r\n\r\n", 1},
           {plain_head + "X-Empty:\r\nX-Tab:\ta\r\n\r\n", 1},
           {with_chunks + "0\r\n\r\n", 1},
           {with_chunks + "5\r\n\n\r\n \n\r\n000A\r\n0123456789\r\n0\r\n\r\n" + plain_head + "\r\n",
            2},
           {with_chunks + "1\r\nx\r\n0\r\nTrailer: 1\r\nOther: 2\r\n\r\n" + with_chunks +
                "0\r\n\r\n",
            2}}) {
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
      checked_reader r(bytes);
      BOOST_REQUIRE(r.read(piece));
      BOOST_TEST(r.messages == messages);
      BOOST_TEST(r.agree);
      BOOST_TEST(r.check.problem() == "");
      BOOST_TEST(r.check.is_at_end());
    }
  }
}

BOOST_AUTO_TEST_CASE(what_two_readers_might_read_differently_is_refused_however_it_is_cut) {
  const std::string line = "Each line", fold = "A header field must not continue";
  const std::string size = "Nothing but CRLF may follow", digits = "A chunk must begin";
  const std::string version = "The version of a request";
  for (const auto& [bytes, why] : std::vector<std::pair<std::string, std::string>>{
           {"POST / HTTP/1.1\nHost: x\r\n\r\n", line},
           {plain_head + "X: 1\n\r\n", line},
           {plain_head + "X: 1\r\n\n", line},
           {plain_head + "\n", line},
           {plain_head + "\rX: 1\r\n\r\n", "A CR"},
           {plain_head + "A:\rContent-Length: 5\r\n\r\n", "A CR"},
           {"GET /a\r HTTP/1.1\r\n\r\n", "A CR"},
           {plain_head + "\r\r\n", "A CR"},
           {"GET / H8TP/1.1\r\n\r\n", version},
           {"GET / HTTP1.1\r\n\r\n", version},
           {"GET  /  H\r\nX:1.1\r\n\r\n", version},
           {"GET / H\r\n\r\n1.1\r\n\r\n", version},
           {plain_head + "\r\nGET / HHHHH1.1\r\n\r\n", version},
           {"SOURCE / ICE/1.0\r\n\r\n", version},
           {plain_head + "X: 1\r\n 2\r\n\r\n", fold},
           {plain_head + "X: 1\r\n\t2\r\n\r\n", fold},
           {with_chunks + "1 \r\nx\r\n0\r\n\r\n", size},
           {with_chunks + "1;a=b\r\nx\r\n0\r\n\r\n", size},
           {with_chunks + "1\nx\r\n0\r\n\r\n", size},
           {with_chunks + "1\rXx\r\n0\r\n\r\n", size},
           {with_chunks + "1\r\nx\r\n0\rX\r\n", size},
           {with_chunks + "1\r\nx\r\n0;a\r\n\r\n", size},
           {with_chunks + " 1\r\nx\r\n0\r\n\r\n", digits},
           {with_chunks + "\r\n", digits},
           {with_chunks + "1\r\nxy\r\n0\r\n\r\n", "The data of a chunk"},
           {with_chunks + "1\r\nx\n0\r\n\r\n", "The data of a chunk"},
           {with_chunks + "1\r\nx\r\n0\r\nT: 1\n\r\n", line},
           {with_chunks + "1\r\nx\r\n0\r\n T: 1\r\n\r\n", fold},
           {with_chunks + "1\r\nx\r\n0\r\n\n", line},
           {with_chunks + "0000000000000001\r\nx\r\n0\r\n\r\n", "A chunk is too large"}}) {
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
      checked_reader r(bytes);
      r.read(piece);  // the parser may refuse it, too
      BOOST_TEST(std::string(r.check.problem()).starts_with(why), bytes);
    }
  }
}

BOOST_AUTO_TEST_CASE(it_tells_how_much_of_the_body_is_there) {
  framing_check check;
  const auto bytes = plain_head + "\r\nabc";
  check.feed(bytes);
  check.message_begins();
  BOOST_TEST(check.unread() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
