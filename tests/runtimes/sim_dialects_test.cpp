// What the simulated runtime answers in other APIs than OpenAI's chat.
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/runtimes/support.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using namespace signalbox::runtimes::testing;
using json = nlohmann::json;

namespace {

constexpr const char* words = "This is the ";  // three tokens

struct many_apis {
  std::unique_ptr<runtime_driver> driver = make_driver(programs);
  event_log events;
  std::unique_ptr<runtime_handle> handle;
  std::uint16_t port;

  many_apis() {
    handle = driver->start(sim_model(programs, {"--decode-tps", "0", "--default-tokens", "3",
                                                "--request-faults", "--any-model"}),
                           request_of(1), events.callback());
    port = events.wait_for<runtime_ready>().port;
  }
  reply send(const std::string& route, json body, const std::string& fault = {}) const {
    if (!body.contains("model")) body["model"] = "demo";
    return send_once(port, {.target = route, .body = body.dump(), .fault = fault});
  }
  json ask(const std::string& route, json body) const {
    const auto answer = send(route, std::move(body));
    BOOST_TEST_REQUIRE(answer.status() == 200u, answer.body());
    return json::parse(answer.body());
  }
};

const json messages = json::array({{{"role", "user"}, {"content", "one two"}}});

// The events of a stream whose events have names, which are also their types.
std::vector<json> named_events(const reply& answer) {
  BOOST_TEST(answer.response["content-type"] == "text/event-stream");
  std::vector<json> events;
  std::istringstream lines(answer.body());
  for (std::string name, data, blank;
       std::getline(lines, name) && std::getline(lines, data) && std::getline(lines, blank);) {
    BOOST_TEST_REQUIRE(data.starts_with("data: "));
    BOOST_TEST(blank.empty());
    events.push_back(json::parse(data.substr(6)));
    BOOST_TEST(name == "event: " + events.back()["type"].get<std::string>());
  }
  return events;
}

std::string types_of(const std::vector<json>& events) {
  std::string types;
  for (const auto& event : events) types += event["type"].get<std::string>() + " ";
  return types;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_message) {
  const many_apis s;
  json wish{{"messages", messages}, {"system", "be brief"}, {"max_tokens", 3}};
  auto message = s.ask("/v1/messages", wish);
  BOOST_TEST(message["id"].get<std::string>().starts_with("msg_"));
  message.erase("id");
  BOOST_TEST(message == json::parse(R"({"type": "message", "role": "assistant", "model": "demo",
    "content": [{"type": "text", "text": "This is the "}], "stop_reason": "max_tokens",
    "stop_sequence": null, "usage": {"input_tokens": 4, "output_tokens": 3}})"));
  wish["sim_completion_tokens"] = 2;
  BOOST_TEST(s.ask("/v1/messages", wish)["stop_reason"] == "end_turn");
  BOOST_TEST(s.ask("/v1/messages/count_tokens", wish) == json::parse(R"({"input_tokens": 4})"));
}

BOOST_AUTO_TEST_CASE(a_message_in_events) {
  const many_apis s;
  const auto events = named_events(
      s.send("/v1/messages", {{"messages", messages}, {"max_tokens", 3}, {"stream", true}}));
  BOOST_TEST_REQUIRE(types_of(events) ==
                     "message_start content_block_start content_block_delta content_block_delta "
                     "content_block_delta content_block_stop message_delta message_stop ");
  BOOST_TEST(events[0]["message"]["content"].empty());
  BOOST_TEST(events[0]["message"]["usage"]["input_tokens"] == 2);
  std::string text;
  for (const auto& event : events) {
    if (event.contains("delta")) text += event["delta"].value("text", "");
  }
  BOOST_TEST(text == words);
  BOOST_TEST(events[6]["delta"]["stop_reason"] == "max_tokens");
  BOOST_TEST(events[6]["usage"]["output_tokens"] == 3);
}

BOOST_AUTO_TEST_CASE(a_response) {
  const many_apis s;
  const auto whole =
      s.ask("/v1/responses", {{"input", "one two"}, {"instructions", "be very brief"}});
  BOOST_TEST(whole["object"] == "response");
  BOOST_TEST(whole["status"] == "completed");
  BOOST_TEST(whole["output"][0]["content"][0]["text"] == words);
  BOOST_TEST(whole["usage"]["input_tokens"] == 5);
  BOOST_TEST(whole["usage"]["output_tokens"] == 3);
  BOOST_TEST(whole["usage"]["total_tokens"] == 8);
  const auto cut = s.ask("/v1/responses", {{"input", messages}, {"max_output_tokens", 2}});
  BOOST_TEST(cut["status"] == "incomplete");
  BOOST_TEST(cut["incomplete_details"]["reason"] == "max_output_tokens");
  BOOST_TEST(cut["usage"]["input_tokens"] == 2);
}

BOOST_AUTO_TEST_CASE(a_response_in_events) {
  const many_apis s;
  const auto events = named_events(s.send("/v1/responses", {{"input", "one"}, {"stream", true}}));
  BOOST_TEST_REQUIRE(types_of(events) ==
                     "response.created response.output_item.added response.content_part.added "
                     "response.output_text.delta response.output_text.delta "
                     "response.output_text.delta response.output_text.done "
                     "response.content_part.done response.output_item.done response.completed ");
  std::string text;
  for (std::size_t i = 0; i < events.size(); ++i) {
    BOOST_TEST(events[i]["sequence_number"] == i);
    if (events[i].contains("delta")) text += events[i]["delta"].get<std::string>();
  }
  BOOST_TEST(text == words);
  BOOST_TEST(events[6]["text"] == words);
  const auto& last = events[9]["response"];
  BOOST_TEST(last["id"] == events[0]["response"]["id"]);
  BOOST_TEST(last["output"][0] == events[8]["item"]);
  BOOST_TEST(last["usage"]["output_tokens"] == 3);
  BOOST_TEST(
      types_of(named_events(s.send("/v1/responses",
                                   {{"input", "one"}, {"stream", true}, {"max_output_tokens", 1}})))
          .ends_with("response.incomplete "));
}

BOOST_AUTO_TEST_CASE(ollama_streams_lines_unless_told_otherwise) {
  const many_apis s;
  for (const bool is_chat : {true, false}) {
    const auto* const route = is_chat ? "/api/chat" : "/api/generate";
    json wish{{"messages", messages}, {"prompt", "one two"}};
    const auto text_of = [&](const json& line) {
      return (is_chat ? line["message"]["content"] : line["response"]).get<std::string>();
    };
    const auto answer = s.send(route, wish);
    BOOST_TEST(answer.response["content-type"] == "application/x-ndjson");
    std::istringstream lines(answer.body());
    std::string text;
    std::vector<json> parts;
    for (std::string line; std::getline(lines, line);) {
      parts.push_back(json::parse(line));
      text += text_of(parts.back());
    }
    BOOST_TEST_REQUIRE(parts.size() == 4u);  // one a token, and the last
    BOOST_TEST(text == words);
    BOOST_TEST(parts[2]["done"] == false);
    wish["stream"] = false;
    for (const auto& last : {parts[3], s.ask(route, wish)}) {
      BOOST_TEST(last["done"] == true);
      BOOST_TEST(last["done_reason"] == "stop");
      BOOST_TEST(last["prompt_eval_count"] == 2);
      BOOST_TEST(last["eval_count"] == 3);
    }
    wish["options"] = {{"num_predict", 1}};
    const auto cut = s.ask(route, wish);
    BOOST_TEST(text_of(cut) == "This ");
    BOOST_TEST(cut["done_reason"] == "length");
    wish["options"]["num_predict"] = -1;
    BOOST_TEST(text_of(s.ask(route, wish)) == words);
  }
}

BOOST_AUTO_TEST_CASE(ollama_embeds_as_openai_does) {
  const many_apis s;
  const auto openai = s.ask("/v1/embeddings", {{"input", "one two"}})["data"][0]["embedding"];
  const auto two = s.ask("/api/embed", {{"input", json::array({"one two", "three"})}});
  BOOST_TEST(two["prompt_eval_count"] == 3);
  BOOST_TEST_REQUIRE(two["embeddings"].size() == 2u);
  BOOST_TEST(two["embeddings"][0] == openai);
  BOOST_TEST(s.ask("/api/embeddings", {{"prompt", "one two"}})["embedding"] == openai);
}

BOOST_AUTO_TEST_CASE(a_score_is_the_share_of_the_querys_words) {
  const many_apis s;
  const json query = "Capital of France?";
  const auto documents = json::array({"", "Paris, the capital of France.", "the capital"});
  const json wish{{"query", query}, {"documents", documents}};
  auto ranked = s.ask("/v1/rerank", wish);
  const auto order = json::array({{{"index", 1}, {"relevance_score", 1.0}},
                                  {{"index", 2}, {"relevance_score", 1.0 / 3}},
                                  {{"index", 0}, {"relevance_score", 0.0}}});
  BOOST_TEST(ranked["results"] == order);
  BOOST_TEST(ranked["usage"]["prompt_tokens"] == 3 * 3 + 5 + 2);
  auto best = wish;
  best["top_n"] = 1;
  BOOST_TEST(s.ask("/v1/rerank", best)["results"].size() == 1u);
  const auto scored = s.ask("/v1/score", {{"text_1", query}, {"text_2", documents}})["data"];
  BOOST_TEST(scored.size() == 3u);
  BOOST_TEST(scored[1]["score"] == 1.0);
  const auto pairs = json::array({"a", "b"});
  const auto each = s.ask("/v1/score", {{"text_1", pairs}, {"text_2", pairs}});
  BOOST_TEST(each["data"][1]["score"] == 1.0);
  BOOST_TEST(each["usage"]["total_tokens"] == 4);
  BOOST_TEST(s.send("/v1/score", {{"text_1", pairs}, {"text_2", documents}}).status() == 400u);
}

BOOST_AUTO_TEST_CASE(errors_have_the_shape_of_their_api) {
  const many_apis s;
  const auto anthropic = s.send("/v1/messages", {{"messages", messages}});
  BOOST_TEST(anthropic.status() == 400u);
  BOOST_TEST(json::parse(anthropic.body()) ==
             json::parse(R"({"type": "error", "error": {"type": "invalid_request_error",
               "message": "max_tokens is missing"}})"));
  const auto busy = s.send("/v1/messages", {{"messages", messages}}, "status=429");
  BOOST_TEST(json::parse(busy.body())["error"]["type"] == "rate_limit_error");
  const auto ollama = s.send("/api/embed", json::object());
  BOOST_TEST(ollama.status() == 400u);
  BOOST_TEST(json::parse(ollama.body())["error"] == "input must be a text or a list");
  const auto openai = s.send("/v1/responses", json::object());
  BOOST_TEST(openai.status() == 400u);
  BOOST_TEST(json::parse(openai.body())["error"]["type"] == "invalid_request_error");
  BOOST_TEST(s.send("/v1/images/generations", json::object()).status() == 404u);
}

BOOST_AUTO_TEST_CASE(a_model_with_the_name_of_the_mark_of_the_text) {
  const many_apis s;
  const auto answer = s.send("/api/generate", {{"model", "@text@"}, {"prompt", "one"}});
  std::istringstream lines(answer.body());
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    const auto part = json::parse(line);
    BOOST_TEST(part["model"] == "@text@");
    text += part["response"].get<std::string>();
  }
  BOOST_TEST(text == words);
}
