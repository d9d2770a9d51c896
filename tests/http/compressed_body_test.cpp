// Compressed bodies are read however they are cut, and nothing else is read as one.
#include "http/serve/compressed_body.hpp"

#include <zlib.h>
#include <zstd.h>

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace signalbox::http;
using namespace std::string_literals;

namespace {

std::string gzip(const std::string& text, int window_bits = MAX_WBITS + 16) {
  z_stream stream{};
  BOOST_REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(text.size() + text.size() / 100 + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  BOOST_REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const auto size = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3);
  BOOST_REQUIRE(ZSTD_isError(size) == 0u);
  out.resize(size);
  return out;
}

std::string packed(content_coding coding, const std::string& text) {
  return coding == content_coding::gzip ? gzip(text) : zstd(text);
}

// An empty frame that asks for this window.
std::string frame_with_window(int log) {
  return "\x28\xb5\x2f\xfd\0"s + static_cast<char>((log - 10) << 3) + "\x01\0\0"s;
}

struct decoded_body {
  std::string text;
  bool is_valid = true;  // and complete
  std::size_t memory = 0;
};

decoded_body decoded(content_coding coding, const std::string& body, std::size_t cut = 8192,
                     std::size_t limit = 1 << 30) {
  const auto decoder = make_decoder(coding);
  decoded_body out;
  for (std::size_t at = 0; out.is_valid && at < body.size() && out.text.size() < limit; at += cut) {
    out.is_valid = decoder->feed(std::string_view(body).substr(at, cut), [&](auto piece) {
      out.text += piece;
      return out.text.size() < limit;
    });
  }
  out.is_valid = out.is_valid && decoder->is_complete();
  out.memory = decoder->memory();
  return out;
}

constexpr auto codings = {content_coding::gzip, content_coding::zstd};

std::string long_text() {
  std::string text;
  unsigned seed = 1;
  while (text.size() < 300'000) text += std::to_string((seed = seed * 1664525 + 1013904223) >> 16);
  return text + std::string(300'000, 'x');
}

}  // namespace

BOOST_AUTO_TEST_SUITE(compressed_body)

BOOST_AUTO_TEST_CASE(a_body_is_read_however_it_is_cut) {
  for (const auto coding : codings) {
    for (const auto& text : {""s, "{}"s, std::string(16 * 1024, 'y'), long_text()}) {
      const auto body = packed(coding, text);
      for (const std::size_t cut :
           {std::size_t{1}, std::size_t{7}, std::size_t{8192}, body.size()}) {
        const auto whole = decoded(coding, body, cut);
        BOOST_TEST(whole.is_valid);
        BOOST_TEST((whole.text == text));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(several_members_or_frames_are_one_body) {
  for (const auto coding : codings) {
    const auto part = [&](const std::string& text) { return packed(coding, text); };
    auto body = part("") + part("one ") + part("") + part(std::string(16 * 1024, 'y')) + part("");
    if (coding == content_coding::zstd) body += "\x5a\x2a\x4d\x18\x02\0\0\0ab"s;  // skipped
    for (const std::size_t cut : {1, 7, 8192}) {
      const auto whole = decoded(coding, body, cut);
      BOOST_TEST(whole.is_valid);
      BOOST_TEST(whole.text == "one " + std::string(16 * 1024, 'y'));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_cut_off_is_not_valid) {
  for (const auto coding : codings) {
    const auto body = packed(coding, "some text, some text, and more of it");
    for (std::size_t size = 0; size < body.size(); ++size) {
      BOOST_TEST(!decoded(coding, body.substr(0, size)).is_valid, size);
    }
  }
}

BOOST_AUTO_TEST_CASE(other_bytes_are_not_valid) {
  for (const auto coding : codings) {
    const auto good = packed(coding, "text");
    const auto other = packed(
        coding == content_coding::gzip ? content_coding::zstd : content_coding::gzip, "text");
    auto changed = good;
    changed[changed.size() - 6] ^= 1;
    for (const auto& body : {"{\"model\":\"demo\"}"s, "\0"s, good + "\0"s, good + "x", good + other,
                             other, gzip("text", MAX_WBITS), gzip("text", -MAX_WBITS)}) {
      for (const std::size_t cut : {1, 8192}) BOOST_TEST(!decoded(coding, body, cut).is_valid);
    }
    if (coding == content_coding::gzip) BOOST_TEST(!decoded(coding, changed).is_valid);
  }
}

BOOST_AUTO_TEST_CASE(older_formats_of_zstd_are_not_valid) {
  for (const char first : {'\x1e', '\x22', '\x23', '\x24', '\x25', '\x26', '\x27'}) {
    const auto decoder = make_decoder(content_coding::zstd);
    BOOST_TEST(!decoder->feed({&first, 1}, [](auto) { return true; }));
  }
}

BOOST_AUTO_TEST_CASE(no_more_is_decoded_than_is_taken) {
  constexpr std::size_t limit = 100'000, piece = 16 * 1024;
  for (const auto coding : codings) {
    const auto body = packed(coding, std::string(50'000'000, 'x'));
    BOOST_TEST(body.size() < limit);
    const auto size = decoded(coding, body, body.size(), limit).text.size();
    BOOST_TEST(size >= limit);
    BOOST_TEST(size < limit + piece);
  }
}

BOOST_AUTO_TEST_CASE(a_window_is_bounded_and_counted) {
  constexpr std::size_t mib = 1 << 20;
  const auto largest = decoded(content_coding::zstd, frame_with_window(23));
  BOOST_TEST(largest.is_valid);
  BOOST_TEST(largest.memory >= 8 * mib);
  BOOST_TEST(decoded(content_coding::zstd, frame_with_window(10)).memory < mib);
  for (const int log : {24, 27, 31, 41}) {
    const auto larger = decoded(content_coding::zstd, frame_with_window(log));
    BOOST_TEST(!larger.is_valid, log);
    BOOST_TEST(larger.memory < mib);
  }
}

BOOST_AUTO_TEST_CASE(codings_are_known_by_name) {
  for (const auto* name : {"", "identity", "Identity"}) {
    BOOST_TEST((coding_of(name) == content_coding::identity), name);
  }
  for (const auto* name : {"gzip", "GZip", "x-gzip"}) {
    BOOST_TEST((coding_of(name) == content_coding::gzip), name);
  }
  BOOST_TEST((coding_of("ZSTD") == content_coding::zstd));
  for (const auto* name : {"br", "deflate", "gzip, gzip", "gzip,zstd", "gzip, identity", "gzipp",
                           "compress", ",", "*"}) {
    BOOST_TEST(!coding_of(name).has_value(), name);
  }
  BOOST_TEST(make_decoder(content_coding::identity) == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()
