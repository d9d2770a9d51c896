// Usage is read in each dialect, adds up where several were asked for, and zeros tell nothing.
#include "http/proxy/usage.hpp"

#include <boost/test/unit_test.hpp>

#include <optional>
#include <sstream>
#include <string>
#include <vector>

using namespace signalbox::http;

namespace {

std::string text_of(const token_usage& usage) {
  std::ostringstream out;
  for (const auto& number : {usage.prompt, usage.completion, usage.cached, usage.reasoning}) {
    if (number) {
      out << *number << ' ';
    } else {
      out << "- ";
    }
  }
  return out.str();
}

struct row {
  std::string json, expected;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(usage_reading)

BOOST_AUTO_TEST_CASE(a_whole_answer_tells_usage_in_its_dialect) {
  const std::vector<row> rows{
      {R"({"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}})", "7 3 - - "},
      {R"({"usage":{"completion_tokens":3.0,"prompt_tokens":11.0}})", "11 3 - - "},
      {R"({"usage":{"prompt_tokens":7}})", "7 - - - "},
      {R"({"usage":{"prompt_tokens":7,"completion_tokens":3,)"
       R"("prompt_tokens_details":{"audio_tokens":1,"cached_tokens":5},)"
       R"("completion_tokens_details":{"reasoning_tokens":2}}})",
       "7 3 5 2 "},
      {R"({"object":"response","usage":{"input_tokens":9,"output_tokens":4,)"
       R"("input_tokens_details":{"cached_tokens":1},)"
       R"("output_tokens_details":{"reasoning_tokens":3}}})",
       "9 4 1 3 "},
      {R"({"type":"message","usage":{"input_tokens":2,"cache_read_input_tokens":30,)"
       R"("cache_creation_input_tokens":10,"output_tokens":4}})",
       "42 4 30 - "},
      {R"({"message":{"role":"assistant"},"done":true,"prompt_eval_count":6,"eval_count":8})",
       "6 8 - - "},
      {R"({"content":"x","stop":true,"tokens_predicted":4,"tokens_evaluated":5,"tokens_cached":8})",
       "5 4 - - "},
      {R"([{"usage":{"prompt_tokens":1,"completion_tokens":2}},)"
       R"({"usage":{"prompt_tokens":10,"completion_tokens":20}}])",
       "11 22 - - "},
      // Nothing is told.
      {R"({"usage":{}})", "- - - - "},
      {R"({"usage":null})", "- - - - "},
      {R"({"usage":{"prompt_tokens":0,"completion_tokens":0}})", "- - - - "},
      {R"({"usage":{"prompt_tokens":-1,"completion_tokens":"3"}})", "- - - - "},
      {R"({"other":{"usage":{"prompt_tokens":7}}})", "- - - - "},
      {R"(no JSON)", "- - - - "},
      {R"(["usage"])", "- - - - "},
      {"", "- - - - "},
      // A mistake of the runtime's is bounded.
      {R"({"usage":{"prompt_tokens":1e300,"completion_tokens":18446744073709551615}})",
       "1000000000 1000000000 - - "},
  };
  for (const auto& one : rows) {
    BOOST_TEST_CONTEXT(one.json) {
      BOOST_TEST(text_of(read_usage(one.json)) == one.expected);
    }
  }
}

BOOST_AUTO_TEST_CASE(events_tell_usage_once_or_for_each_choice) {
  struct stream {
    std::vector<std::string> events;
    bool asks_several;
    std::string expected;
  };
  const std::string alone = R"({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}})";
  const std::string first =
      R"({"choices":[{"index":0}],"usage":{"prompt_tokens":7,"completion_tokens":3}})";
  const std::string second =
      R"({"choices":[{"index":1}],"usage":{"prompt_tokens":7,"completion_tokens":4}})";
  const std::vector<stream> streams{
      {{alone}, false, "7 3 - - "},
      {{alone, alone}, false, "7 3 - - "},  // the same report again
      {{alone, alone}, true, "14 6 - - "},  // llama-server: one for each
      {{first, first, second}, true, "14 7 - - "},
      {{first, second, alone}, true, "7 3 - - "},  // vLLM: the last one is of all
      {{alone, R"({"choices":[],"usage":{}})"}, false, "7 3 - - "},
      {{R"({"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}})",
        R"({"type":"message_delta","usage":{"output_tokens":25}})"},
       false,
       "5 25 - - "},
      {{R"({"type":"response.completed",)"
        R"("response":{"usage":{"input_tokens":5,"output_tokens":2}}})"},
       false,
       "5 2 - - "},
      {{R"({"content":"a","stop":false,"tokens_predicted":1,"tokens_evaluated":9})",
        R"({"content":"","stop":true,"tokens_predicted":2,"tokens_evaluated":9})"},
       false,
       "9 2 - - "},
      {{R"({"response":"word","done":false})", R"({"done":true,"eval_count":2})"},
       false,
       "- 2 - - "},
  };
  for (const auto& one : streams) {
    usage_sum sum;
    if (one.asks_several) sum.expect_several();
    for (const auto& event : one.events) sum.add(read_event(event));
    BOOST_TEST_CONTEXT(one.events.front()) {
      BOOST_TEST(text_of(sum.total()) == one.expected);
    }
  }
}

BOOST_AUTO_TEST_CASE(an_event_of_an_answer_is_about_one_token_and_a_long_one_is_more) {
  const auto tokens = [](const std::string& data) { return read_event(data).tokens; };
  BOOST_TEST(tokens(R"({"choices":[{"delta":{"content":"a"},"finish_reason":null}]})") == 1u);
  BOOST_TEST(tokens(R"({"type":"content_block_delta","delta":{"text":"a"}})") == 1u);
  BOOST_TEST(tokens(R"({"type":"response.output_text.delta","delta":"a"})") == 1u);
  BOOST_TEST(tokens(R"({"message":{"content":"a"},"done":false})") == 1u);
  BOOST_TEST(tokens(R"({"content":"a","stop":false})") == 1u);
  for (const std::string other :
       {R"({"choices":[],"usage":{"prompt_tokens":1}})", R"({"type":"message_delta"})",
        R"({"type":"ping"})", R"({"message":{"content":""},"done":true})",
        R"({"content":"","stop":true})", R"({"stop":[]})", "text"}) {
    BOOST_TEST(tokens(other) == 0u);
  }
  const auto all_at_once =
      tokens(R"({"choices":[{"delta":{"content":")" + std::string(40'000, 'a') + R"("}}]})");
  BOOST_TEST(all_at_once > 9'000u);
}

BOOST_AUTO_TEST_SUITE_END()
