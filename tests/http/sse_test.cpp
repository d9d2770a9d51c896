// Streams pass byte for byte, whatever the split, but for what nobody asked for.
#include "http/proxy/sse.hpp"

#include <boost/test/unit_test.hpp>

#include <random>
#include <string>
#include <vector>

using namespace signalbox::http;

namespace {

const std::string first =
    "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n";
const std::string second = ": comment\n\nevent: x\r\ndata: {\"choices\":[{}]}\r\n\r\n";
const std::string finish = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const std::string usage_chunk =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n";
const std::string done = "data: [DONE]\n\n";

std::string pass(sse_filter& filter, const std::string& text, std::size_t part) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += part) filter.feed(text.substr(at, part), out);
  filter.finish(out);
  return out;
}

sse_filter taking_out() {
  sse_filter filter;
  filter.take_usage_out();
  return filter;
}

// Passes the stream in parts of every size.
void check_every_split(const std::string& stream, const std::string& expected) {
  for (std::size_t part = 1; part <= stream.size(); ++part) {
    auto filter = taking_out();
    BOOST_TEST(pass(filter, stream, part) == expected);
  }
}

// A stream whose lines end in this way.
std::string with_ends(std::string stream, const std::string& end) {
  for (std::size_t at = 0; (at = stream.find('\n', at)) != stream.npos; at += end.size()) {
    stream.replace(at, 1, end);
  }
  return stream;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sse)

BOOST_AUTO_TEST_CASE(the_usage_chunk_is_taken_out_at_every_split) {
  const auto stream = first + second + finish + usage_chunk + done;
  for (std::size_t part = 1; part <= stream.size(); ++part) {
    auto filter = taking_out();
    BOOST_TEST(pass(filter, stream, part) == first + second + finish + done);
    BOOST_REQUIRE(filter.usage().is_told());
    BOOST_TEST(*filter.usage().prompt == 7u);
    BOOST_TEST(*filter.usage().completion == 2u);
    BOOST_TEST(filter.tokens_seen() == 3u);
    BOOST_TEST(filter.saw_done());
  }
}

BOOST_AUTO_TEST_CASE(lines_may_end_in_lf_cr_or_both) {
  const auto before = with_ends(first + ": beat\n\nid: 7\nretry: 10\n\n" + finish, "\n");
  for (const std::string end : {"\n", "\r", "\r\n"}) {
    check_every_split(with_ends(before + usage_chunk + done, end), with_ends(before + done, end));
  }
}

BOOST_AUTO_TEST_CASE(a_byte_order_mark_may_begin_a_stream) {
  const std::string mark = "\xEF\xBB\xBF";
  check_every_split(mark + usage_chunk + done, mark + done);
}

BOOST_AUTO_TEST_CASE(data_may_come_in_several_lines) {
  const std::string usage =
      "event: x\ndata: {\"choices\":[],\ndata:\ndata: \"usage\":{\"prompt_tokens\":7}}\n\n";
  check_every_split(first + usage + done, first + done);
}

BOOST_AUTO_TEST_CASE(a_comment_passes_before_its_empty_line_comes) {
  auto filter = taking_out();
  std::string out;
  filter.feed(finish + ": beat\n", out);
  BOOST_TEST(out == ": beat\n");  // ahead of the event that is held back
  filter.feed("\n" + done, out);
  BOOST_TEST(out == ": beat\n\n" + finish + done);
  filter.feed("data: {}\n: in an event\n", out);
  BOOST_TEST(out == ": beat\n\n" + finish + done);
}

BOOST_AUTO_TEST_CASE(a_usage_chunk_is_one_in_each_of_its_shapes) {
  for (const std::string choices : {R"("choices":[],)", R"("choices":null,)", ""}) {
    for (const std::string usage : {R"({"prompt_tokens":7})", "{}"}) {
      check_every_split(first + "data: {" + choices + "\"usage\":" + usage + "}\n\n" + done,
                        first + done);
    }
  }
  for (const std::string kept :
       {R"({"choices":[],"usage":null})",
        R"({"choices":[{"index":0}],"usage":{"prompt_tokens":1}})",
        R"({"type":"message_delta","usage":{"output_tokens":3}})",
        R"({"error":{"message":"no"},"usage":{"prompt_tokens":1}})", R"({"usage":{"prompt)"}) {
    check_every_split("data: " + kept + "\n\n" + done, "data: " + kept + "\n\n" + done);
  }
}

BOOST_AUTO_TEST_CASE(what_comes_with_the_usage_goes_where_it_would_have_been) {
  const std::string timings = R"("timings":{"a":41.50,"b":[1,"}"]})";
  const auto usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7}," + timings + "}\n\n";
  const auto with_timings =
      "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]," + timings + "}\n\n";
  check_every_split(first + finish + usage + done, first + with_timings + done);
  check_every_split(first + usage + done,
                    first + "data: {\"choices\":[]," + timings + "}\n\n" + done);
  check_every_split(with_timings + usage + done, with_timings + done);  // never twice
}

BOOST_AUTO_TEST_CASE(the_last_event_is_held_back_for_a_tick_at_most) {
  auto filter = taking_out();
  std::string out;
  filter.feed(first + finish, out);
  BOOST_TEST(out == first);
  BOOST_TEST(filter.release(out));
  BOOST_TEST(!filter.release(out));
  BOOST_TEST(out == first + finish);
}

BOOST_AUTO_TEST_CASE(a_client_that_asked_gets_every_byte) {
  sse_filter filter;
  const auto stream = first + finish + usage_chunk + done;
  BOOST_TEST(pass(filter, stream, 5) == stream);
  BOOST_TEST(*filter.usage().completion == 2u);
  std::string out;
  sse_filter at_once;
  at_once.feed(finish, out);
  BOOST_TEST(out == finish);
}

BOOST_AUTO_TEST_CASE(usage_in_the_finish_chunk_is_counted_and_passes) {
  const std::string both =
      "data: {\"choices\":[{\"finish_reason\":\"stop\"}],"
      "\"usage\":{\"completion_tokens\":3,\"prompt_tokens\":1}}\n\n";
  auto filter = taking_out();
  BOOST_TEST(pass(filter, both, 1000) == both);
  BOOST_TEST(*filter.usage().completion == 3u);
  BOOST_TEST(*filter.usage().prompt == 1u);
}

BOOST_AUTO_TEST_CASE(each_line_is_an_event_where_json_comes_in_lines) {
  const std::string stream =
      "{\"response\":\"a\",\"done\":false}\n{\"response\":\"b\",\"done\":false}\r\n\n"
      "{\"done\":true,\"prompt_eval_count\":4,\"eval_count\":2}\n";
  for (std::size_t part = 1; part <= stream.size(); ++part) {
    sse_filter filter;
    filter.expect_lines();
    BOOST_TEST(pass(filter, stream, part) == stream);
    BOOST_TEST(*filter.usage().prompt == 4u);
    BOOST_TEST(filter.tokens_seen() == 2u);
    BOOST_TEST(filter.saw_done());
  }
}

BOOST_AUTO_TEST_CASE(the_end_of_an_answer_is_known_by_what_it_says) {
  struct row {
    std::string data;
    bool is_done, is_finished;
    int error_status;
  };
  const std::vector<row> rows{
      {"[DONE]", true, true, 0},
      {R"({"choices":[{"finish_reason":"length"}]})", false, true, 0},
      {R"({"choices":[{"finish_reason" : null}]})", false, false, 0},
      {R"({"type":"message_stop"})", true, true, 0},
      {R"({"type":"response.completed","response":{}})", true, true, 0},
      {R"({"type":"response.failed","response":{}})", true, true, 502},
      {R"({"type":"error","error":{"type":"overloaded_error","message":"m"}})", false, false, 502},
      {R"({"error":{"code":400,"message":"m"}})", false, false, 400},
      {R"({"error":{"code":"full","message":"m"}})", false, false, 502},
      {R"({"error":"text"})", false, false, 502},
      {R"({"object":"error","message":"m","code":429})", false, false, 429},
      {R"({"choices":[{"delta":{"content":"\"error\""}}],"error":null})", false, false, 0},
  };
  for (const auto& one : rows) {
    auto filter = taking_out();
    const auto stream = "data: " + one.data + "\n\n";
    BOOST_TEST_CONTEXT(one.data) {
      BOOST_TEST(pass(filter, stream, 7) == stream);
      BOOST_TEST(filter.saw_done() == one.is_done);
      BOOST_TEST(filter.is_finished() == one.is_finished);
      BOOST_TEST(filter.error_status() == one.error_status);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_cut_off_event_comes_out_at_the_end) {
  auto filter = taking_out();
  std::string out;
  filter.feed(first + "data: {\"cho", out);
  BOOST_TEST(out == first);
  filter.finish(out);
  BOOST_TEST(out == first + "data: {\"cho");
}

BOOST_AUTO_TEST_CASE(a_last_event_without_its_empty_line_counts) {
  auto filter = taking_out();
  BOOST_TEST(pass(filter, first + usage_chunk.substr(0, usage_chunk.size() - 2), 1000) == first);
  BOOST_TEST(*filter.usage().prompt == 7u);
}

BOOST_AUTO_TEST_CASE(an_endless_event_is_not_kept_in_memory) {
  for (const std::string end : {"\n", "\r\n"}) {
    auto filter = taking_out();
    const std::string part(100'000, 'x');
    std::string sent = "data: ", out;
    filter.feed(sent, out);
    for (int i = 0; i < 50; ++i) {
      filter.feed(part, out);
      sent += part;
      BOOST_TEST(sent.size() - out.size() <= sse_filter::max_event_bytes + part.size());
    }
    BOOST_TEST(filter.is_cut());
    filter.feed(end, out);
    BOOST_TEST(filter.is_cut());
    filter.feed(end + first + usage_chunk, out);
    BOOST_TEST(!filter.is_cut());
    filter.finish(out);
    BOOST_TEST((out == sent + end + end + first));
  }
}

// It would take hours if each line cost what all before it have.
BOOST_AUTO_TEST_CASE(an_event_of_many_lines_costs_no_more_than_its_length) {
  std::string many;
  while (many.size() < sse_filter::max_event_bytes - 10) many += "data:\n";
  auto filter = taking_out();
  BOOST_TEST((pass(filter, many + "\n", 16'384) == many + "\n"));
}

BOOST_AUTO_TEST_CASE(garbage_passes_unread) {
  std::mt19937 random(7);
  std::string garbage;
  for (int i = 0; i < 20'000; ++i) garbage += static_cast<char>(random());
  for (const std::size_t part : {1u, 2u, 977u, 20'000u}) {
    auto filter = taking_out();
    BOOST_TEST((pass(filter, garbage, part) == garbage));
  }
}

BOOST_AUTO_TEST_SUITE_END()
