#include "http/proxy/late_answer.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "http/serve/error.hpp"
#include "text/json_text.hpp"

namespace signalbox::http {

namespace {

using nlohmann::json;

constexpr std::size_t max_message_bytes = 1000;  // of a text that is quoted

// Of an answer that is read. The shard's other clients wait meanwhile: 10 ms for as much text, five
// times that for as many small values.
constexpr std::size_t max_read_bytes = 512 * 1024;

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string event_of(const json& data) {
  return "data: " + dump(data) + "\n\n";
}

// Error type for a runtime's status, as OpenAI has them.
std::string_view type_of(int status) {
  if (status == 429) return "rate_limit_error";
  return status >= 400 && status < 500 ? "invalid_request_error" : "server_error";
}

std::string shortened(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == text.npos) return {};
  text = text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
  return std::string(text.substr(0, max_message_bytes)) +
         (text.size() > max_message_bytes ? " …" : "");
}

// Finds the words of an error in whatever shape a runtime gave it; empty if there are none.
std::string message_in(const json& answer, std::string_view text) {
  if (answer.is_object() && answer.contains("error") && answer["error"].is_object() &&
      answer["error"].value("message", json()).is_string()) {
    return shortened(answer["error"]["message"].get<std::string>());
  }
  if (answer.is_object()) {
    for (const auto* const name : {"error", "message", "detail"}) {
      const auto member = answer.find(name);
      if (member == answer.end() || member->is_null()) continue;
      return shortened(member->is_string() ? member->get<std::string>() : dump(*member));
    }
  }
  const bool is_page = text.find_first_not_of(" \t\r\n") == text.find('<');
  return is_page ? std::string() : shortened(text);
}

// What the scanner refuses, by its form or its depth, is text, and so is what is too long.
json parse(const std::string& text) {
  if (text.size() > max_read_bytes) return {};
  const auto line = json_on_one_line(text);
  return line.empty() ? json() : json::parse(line, nullptr, false);
}

bool is_error_of(dialect spoken, const json& answer) {
  if (!answer.is_object() || !answer.contains("error")) return false;
  if (spoken == dialect::ollama) return answer["error"].is_string();
  if (spoken == dialect::anthropic && answer.value("type", json()) != "error") return false;
  return answer["error"].is_object();
}

late_answer refusal(dialect spoken, int status, const json& answer, std::string_view text) {
  const bool is_refused = status >= 400;
  late_answer out;
  out.status = is_refused ? status : words(error_code::upstream_failed).status;
  if (is_error_of(spoken, answer)) {
    out.events = error_event(spoken, dump(answer));
    return out;
  }
  auto message = message_in(answer, text);
  if (!is_refused) {
    message = "The runtime was asked for a stream and answered something else, with status " +
              std::to_string(status) + (message.empty() ? "." : ": " + message);
  } else if (message.empty()) {
    message = "The runtime answered with status " + std::to_string(status) + ".";
  }
  if (spoken != dialect::openai) {
    out.events = error_event(spoken, error_body(error_code::upstream_failed, message, {}, spoken));
    return out;
  }
  json error{{"message", message},
             {"type", type_of(status)},
             {"param", nullptr},
             {"code", words(error_code::upstream_failed).code}};
  if (answer.is_object()) {
    for (const auto* const name : {"type", "param", "code"}) {
      if (answer.contains(name)) error[name] = answer[name];
    }
  }
  out.events = event_of({{"error", error}});
  return out;
}

// Moves the message of a chat's choice into a delta, where each tool call has an index.
json to_delta(json& message) {
  json delta = std::move(message);
  const auto calls = delta.find("tool_calls");
  if (calls == delta.end() || !calls->is_array()) return delta;
  std::size_t index = 0;
  for (auto& call : *calls) {
    if (call.is_object()) call["index"] = index++;
  }
  return delta;
}

bool is_answer(const json& one) {
  if (!one.is_object() || !one.contains("choices") || !one["choices"].is_array()) return false;
  const auto& choices = one["choices"];
  return std::all_of(choices.begin(), choices.end(),
                     [](const json& choice) { return choice.is_object(); });
}

// Returns the chunks of one answer of OpenAI's.
std::string to_chunks(json answer, bool wants_usage) {
  auto& choices = answer["choices"];
  const auto usage = answer.contains("usage") ? std::move(answer["usage"]) : json();
  answer.erase("usage");
  std::string events;
  bool is_chat = false;
  json last = json::array();  // the choices of a second chunk, which ends what the first began
  for (auto& choice : choices) {
    if (!choice.contains("message") || !choice["message"].is_object()) continue;
    is_chat = true;
    choice["delta"] = to_delta(choice["message"]);
    choice.erase("message");
    last.push_back({{"index", choice.value("index", json(0))}, {"delta", json::object()}});
    last.back()["finish_reason"] = choice.value("finish_reason", json());
    choice["finish_reason"] = nullptr;
  }
  if (is_chat) answer["object"] = "chat.completion.chunk";
  events += event_of(answer);
  if (is_chat) {
    choices = std::move(last);
    events += event_of(answer);
  }
  if (wants_usage && usage.is_object()) {
    choices = json::array();
    answer["usage"] = usage;
    events += event_of(answer);
  }
  return events;
}

}  // namespace

late_answer to_late_answer(dialect spoken, int status, const std::string& text, bool wants_usage) {
  auto answer = parse(text);
  const bool are_several = answer.is_array() && !answer.empty();
  const bool is_whole =
      are_several ? std::all_of(answer.begin(), answer.end(), is_answer) : is_answer(answer);
  if (status != 200 || spoken != dialect::openai || !is_whole) {
    return refusal(spoken, status, answer, text);
  }
  std::string events;
  if (are_several) {
    for (auto& one : answer) events += to_chunks(std::move(one), wants_usage);
  } else {
    events = to_chunks(std::move(answer), wants_usage);
  }
  return {events + "data: [DONE]\n\n", status};
}

std::string error_event(dialect spoken, const std::string& body) {
  if (spoken == dialect::ollama) return body + "\n";
  // Anthropic's clients look at the event's name only.
  const auto* const name = spoken == dialect::anthropic ? "event: error\n" : "";
  return name + ("data: " + body) + "\n\n";
}

bool is_error_of(dialect spoken, const std::string& text) {
  return is_error_of(spoken, parse(text));
}

}  // namespace signalbox::http
