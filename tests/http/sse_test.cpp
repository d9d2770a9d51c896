// Streams pass byte for byte, whatever the split, but for the usage chunk that nobody asked for.
#include "http/proxy/sse.hpp"

#include <boost/test/unit_test.hpp>

#include <random>

using namespace signalbox::http;

namespace {

const std::string first =
    "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n";
const std::string second = ": comment\n\nevent: x\r\ndata: {\"choices\":[{}]}\r\n\r\n";
const std::string usage_chunk =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n";
const std::string done = "data: [DONE]\n\n";

std::string pass(sse_filter& filter, const std::string& text, std::size_t part) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += part) filter.feed(text.substr(at, part), out);
  filter.finish(out);
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sse)

BOOST_AUTO_TEST_CASE(the_usage_chunk_is_taken_out_at_every_split) {
  const auto stream = first + second + usage_chunk + done;
  for (std::size_t part = 1; part <= stream.size(); ++part) {
    sse_filter filter(false);
    BOOST_TEST(pass(filter, stream, part) == first + second + done);
    BOOST_REQUIRE(filter.usage().has_value());
    BOOST_TEST(filter.usage()->prompt == 7u);
    BOOST_TEST(filter.usage()->completion == 2u);
    BOOST_TEST(filter.tokens_seen() == 2u);
    BOOST_TEST(filter.saw_done());
  }
}

BOOST_AUTO_TEST_CASE(a_client_that_asked_gets_every_byte) {
  sse_filter filter(true);
  const auto stream = first + usage_chunk + done;
  BOOST_TEST(pass(filter, stream, 5) == stream);
  BOOST_TEST(filter.usage()->completion == 2u);
}

BOOST_AUTO_TEST_CASE(usage_in_the_finish_chunk_is_counted_and_passes) {
  const std::string finish =
      "data: {\"choices\":[{\"finish_reason\":\"stop\"}],"
      "\"usage\":{\"completion_tokens\":3,\"prompt_tokens\":1}}\n\n";
  sse_filter filter(false);
  BOOST_TEST(pass(filter, finish, 1000) == finish);
  BOOST_TEST(filter.usage()->completion == 3u);
  BOOST_TEST(filter.usage()->prompt == 1u);
}

BOOST_AUTO_TEST_CASE(a_cut_off_event_comes_out_at_the_end) {
  sse_filter filter(false);
  std::string out;
  filter.feed(first + "data: {\"cho", out);
  BOOST_TEST(out == first);
  filter.finish(out);
  BOOST_TEST(out == first + "data: {\"cho");
}

BOOST_AUTO_TEST_CASE(a_last_event_without_its_empty_line_counts) {
  sse_filter filter(false);
  BOOST_TEST(pass(filter, first + usage_chunk.substr(0, usage_chunk.size() - 2), 1000) == first);
  BOOST_REQUIRE(filter.usage().has_value());
  BOOST_TEST(filter.usage()->prompt == 7u);
}

BOOST_AUTO_TEST_CASE(an_endless_event_is_not_kept_in_memory) {
  sse_filter filter(false);
  const std::string part(100'000, 'x');
  std::string sent = "data: ", out;
  filter.feed(sent, out);
  for (int i = 0; i < 50; ++i) {
    filter.feed(part, out);
    sent += part;
    BOOST_TEST(sent.size() - out.size() <= sse_filter::max_event_bytes + part.size());
  }
  filter.feed("\n\n" + first, out);
  filter.finish(out);
  BOOST_TEST((out == sent + "\n\n" + first));
}

BOOST_AUTO_TEST_CASE(garbage_passes_unread) {
  std::mt19937 random(7);
  std::string garbage;
  for (int i = 0; i < 20'000; ++i) garbage += static_cast<char>(random());
  sse_filter filter(false);
  BOOST_TEST((pass(filter, garbage, 977) == garbage));
}

BOOST_AUTO_TEST_SUITE_END()
