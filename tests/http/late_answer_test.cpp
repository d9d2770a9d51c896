// A stream that has begun with comments tells every other answer as an error, or as chunks.
#include "http/proxy/late_answer.hpp"

#include <boost/test/unit_test.hpp>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

using namespace signalbox::http;
using nlohmann::json;

namespace {

std::vector<json> data_of(const std::string& events) {
  std::vector<json> all;
  for (std::size_t at = 0; at < events.size();) {
    const auto end = events.find("\n\n", at);
    BOOST_REQUIRE(end != events.npos);
    BOOST_REQUIRE(events.substr(at, 6) == "data: ");
    const auto data = events.substr(at + 6, end - at - 6);
    if (data != "[DONE]") all.push_back(json::parse(data));
    at = end + 2;
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(late_answers)

BOOST_AUTO_TEST_CASE(a_refusal_of_any_shape_is_an_error) {
  struct row {
    int status;
    std::string text, message;
  };
  const std::vector<row> rows{
      {404, R"({"detail":"Not Found"})", "Not Found"},
      {422, R"({"detail":[{"msg":"no"}]})", R"([{"msg":"no"}])"},
      {400, R"({"object":"error","message":"too long","code":400})", "too long"},
      {429, R"({"error":{"message":"slow down","code":429}})", "slow down"},
      {500, R"({"error":"out of memory"})", "out of memory"},
      {400, R"({"reason":"odd"})", R"({"reason":"odd"})"},
      {503, "  try later\r\n", "try later"},
      {502, "<html><h1>Bad Gateway</h1></html>", "The runtime answered with status 502."},
      {500, "", "The runtime answered with status 500."},
      {500, std::string(2000, '['), std::string(1000, '[') + " …"},
      {400, "\xff\xfe", "\xEF\xBF\xBD\xEF\xBF\xBD"},
  };
  for (const auto& one : rows) {
    BOOST_TEST_CONTEXT(one.text) {
      const auto late = to_late_answer(dialect::openai, one.status, one.text, false);
      BOOST_TEST(late.status == one.status);
      const auto data = data_of(late.events);
      BOOST_REQUIRE(data.size() == 1u);
      BOOST_TEST(data[0]["error"]["message"].get<std::string>() == one.message);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_success_that_is_no_answer_is_an_error_too) {
  for (const std::string text : {"", "ok", "<html></html>", R"({"status":"ok"})", "[]", "{}",
                                 R"({"choices":3})", R"({"choices":[3]})"}) {
    for (const int status : {200, 204, 302}) {
      BOOST_TEST_CONTEXT(text) {
        const auto late = to_late_answer(dialect::openai, status, text, false);
        BOOST_TEST(late.status == 502);
        const auto data = data_of(late.events);
        BOOST_REQUIRE(data.size() == 1u);
        BOOST_TEST(data[0]["error"]["message"].get<std::string>().find("was asked for a stream") !=
                   std::string::npos);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_chat_becomes_its_chunks) {
  const auto answer = R"({"id":"c","object":"chat.completion","created":1,"model":"m","choices":[
      {"index":0,"message":{"role":"assistant","content":"ok","tool_calls":[
        {"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},
       "finish_reason":"tool_calls"}],
      "usage":{"prompt_tokens":7,"completion_tokens":3},"timings":{"n":1}})";
  for (const bool wants_usage : {false, true}) {
    const auto late = to_late_answer(dialect::openai, 200, answer, wants_usage);
    BOOST_TEST(late.status == 200);
    BOOST_TEST(late.events.ends_with("data: [DONE]\n\n"));
    const auto data = data_of(late.events);
    BOOST_REQUIRE(data.size() == (wants_usage ? 3u : 2u));
    BOOST_TEST(data[0]["object"] == "chat.completion.chunk");
    BOOST_TEST(data[0]["id"] == "c");
    BOOST_TEST(data[0]["timings"]["n"] == 1);
    BOOST_TEST(!data[0].contains("usage"));
    const auto& choice = data[0]["choices"][0];
    BOOST_TEST(choice["delta"]["content"] == "ok");
    BOOST_TEST(choice["delta"]["tool_calls"][0]["index"] == 0);
    BOOST_TEST(choice["finish_reason"].is_null());
    BOOST_TEST(data[1]["choices"][0]["finish_reason"] == "tool_calls");
    BOOST_TEST(data[1]["choices"][0]["delta"].empty());
    if (!wants_usage) continue;
    BOOST_TEST(data[2]["choices"].empty());
    BOOST_TEST(data[2]["usage"]["prompt_tokens"] == 7);
  }
}

BOOST_AUTO_TEST_CASE(what_is_too_long_to_be_read_is_an_error) {
  const auto answer_of = [](std::size_t bytes) {
    const std::string before = R"({"choices":[{"index":0,"message":{"content":")";
    const std::string after = R"("},"finish_reason":"stop"}]})";
    return before + std::string(bytes - before.size() - after.size(), 'x') + after;
  };
  constexpr std::size_t most = 512 * 1024;
  const auto read = to_late_answer(dialect::openai, 200, answer_of(most), false);
  BOOST_TEST(read.status == 200);
  BOOST_TEST(data_of(read.events).size() == 2u);
  for (const auto spoken : {dialect::openai, dialect::responses, dialect::anthropic}) {
    const auto late = to_late_answer(spoken, 200, answer_of(most + 1), false);
    BOOST_TEST(late.status == 502);
    BOOST_TEST(late.events.size() < 3000u);
    BOOST_TEST(late.events.find("\"error\"") != std::string::npos);
  }
  const auto refusal = to_late_answer(dialect::openai, 400, answer_of(most + 1), false);
  BOOST_TEST(refusal.status == 400);
  BOOST_TEST(refusal.events.size() < 3000u);
  const auto error = [](std::size_t bytes) {
    return R"({"error":")" + std::string(bytes - 12, 'x') + "\"}";
  };
  BOOST_TEST(is_error_of(dialect::ollama, error(most)));
  BOOST_TEST(!is_error_of(dialect::ollama, error(most + 1)));
}

BOOST_AUTO_TEST_CASE(an_error_has_the_shape_of_the_dialect) {
  const std::string anthropic = R"({"type":"error","error":{"type":"x","message":"no"}})";
  struct row {
    dialect spoken;
    std::string text, begins;
  };
  const std::vector<row> rows{
      {dialect::anthropic, R"({"detail":"no"})", R"(event: error
data: {"error":{"message":"no","type":"api_error"},"type":"error"})"},
      {dialect::anthropic, R"({"error":{"message":"no"}})", R"(event: error
data: {"error":{"message":"no","type":"api_error"},"type":"error"})"},
      {dialect::anthropic, anthropic, R"(event: error
data: {"error":{"message":"no","type":"x"},"type":"error"})"},
      {dialect::responses, R"({"detail":"no"})", R"(data: {"error":{)"},
      {dialect::ollama, R"({"detail":"no"})", R"({"error":"no"})"},
  };
  for (const auto& one : rows) {
    BOOST_TEST_CONTEXT(one.text) {
      BOOST_TEST(to_late_answer(one.spoken, 400, one.text, false).events.starts_with(one.begins));
      BOOST_TEST(is_error_of(one.spoken, one.text) == (one.text == anthropic));
    }
  }
}

BOOST_AUTO_TEST_CASE(completions_pass_as_they_are_one_or_several) {
  const std::string one =
      R"({"object":"text_completion","choices":[{"index":0,"text":"a","finish_reason":"stop"}]})";
  BOOST_TEST(data_of(to_late_answer(dialect::openai, 200, one, false).events)[0] ==
             json::parse(one));
  const auto several =
      data_of(to_late_answer(dialect::openai, 200, "[" + one + "," + one + "]", false).events);
  BOOST_TEST(several.size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
