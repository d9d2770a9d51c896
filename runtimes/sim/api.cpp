#include "runtimes/sim/api.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <random>

#include "runtimes/sim/dialects.hpp"

namespace signalbox::sim {
namespace {

const std::vector<std::string>& words() {
  static const std::vector<std::string> list{"This ",      "is ",       "the ",   "Signalbox ",
                                             "simulated ", "runtime. ", "No ",    "model ",
                                             "is ",        "behind ",   "these ", "words. "};
  return list;
}

// The words in the form that they have inside a JSON string.
const std::vector<std::string>& escaped_words() {
  static const std::vector<std::string> list = [] {
    std::vector<std::string> result;
    for (const auto& word : words()) {
      const auto quoted = json(word).dump();
      result.push_back(quoted.substr(1, quoted.size() - 2));
    }
    return result;
  }();
  return list;
}

std::int64_t unix_time() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

json usage_json(const inference_request& request) {
  return {{"prompt_tokens", request.prompt_tokens},
          {"completion_tokens", request.completion_tokens},
          {"total_tokens", request.prompt_tokens + request.completion_tokens}};
}

// Of llama-server's own routes.
json native_json(const inference_request& request, std::string_view text, bool is_last) {
  json body{{"content", text}, {"stop", is_last}};
  if (is_last) {
    body["tokens_predicted"] = request.completion_tokens;
    body["tokens_evaluated"] = request.prompt_tokens;
  }
  return body;
}

const char* finish_reason(const inference_request& request) {
  return request.limited ? "length" : "stop";
}

// FNV-1a, so that the same text gives the same vector on every machine.
std::uint64_t hash_text(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

std::vector<double> unit_vector(std::string_view text, std::uint32_t dimension) {
  std::mt19937_64 random(hash_text(text));
  std::vector<double> result(dimension);
  double square = 0;
  for (auto& x : result) {
    x = static_cast<double>(random() >> 11) / 4503599627370496.0 - 1.0;  // [-1, 1)
    square += x * x;
  }
  const double length = square > 0 ? std::sqrt(square) : 1;
  for (auto& x : result) x /= length;
  return result;
}

std::string text_of(const inference_request& request) {
  std::string text;
  for (std::uint64_t i = 0; i < request.completion_tokens; ++i) text += words()[i % words().size()];
  return text;
}

// Of OpenAI's routes, and of llama-server's own.
stream_events openai_events(const inference_request& request, std::string_view id,
                            usage_mode usage) {
  stream_events events;
  if (request.route == route::infill) {
    events.first = events.next = native_json(request, text_marker, false);
    events.end.push_back(native_json(request, "", true));
    return events;
  }
  const bool chat = request.route == route::chat;
  const json head{{"id", id},
                  {"object", chat ? "chat.completion.chunk" : "text_completion"},
                  {"created", unix_time()},
                  {"model", request.model}};
  const auto choice = [&](json delta, const json& reason) {
    json event = head;
    json item{{"index", 0}};
    if (chat) {
      item["delta"] = std::move(delta);
    } else {
      item["text"] = delta.value("content", "");
    }
    item["finish_reason"] = reason;
    event["choices"] = json::array({item});
    return event;
  };
  events.first = choice({{"role", "assistant"}, {"content", text_marker}}, nullptr);
  events.next = choice({{"content", text_marker}}, nullptr);
  json finish = choice(json::object(), finish_reason(request));
  if (usage == usage_mode::finish_chunk) finish["usage"] = usage_json(request);
  events.end.push_back(std::move(finish));
  const bool is_apart =
      usage == usage_mode::always || (usage == usage_mode::asked && request.include_usage);
  if (!is_apart) return events;
  json own = head;
  own["choices"] = json::array();
  own["usage"] = usage_json(request);
  events.end.push_back(std::move(own));
  return events;
}

// An event as its stream frames it.
std::string framed(const json& event, dialect spoken) {
  switch (spoken) {
    case dialect::ollama:
      return dump(event) + "\n";
    case dialect::anthropic:
    case dialect::responses:
      return fmt::format("event: {}\ndata: {}\n\n", event["type"].get_ref<const std::string&>(),
                         dump(event));
    case dialect::openai:
      break;
  }
  return fmt::format("data: {}\n\n", dump(event));
}

json completion_json(const inference_request& request, std::string_view id, usage_mode usage) {
  const auto text = text_of(request);
  if (request.route == route::infill) return native_json(request, text, true);
  const bool chat = request.route == route::chat;
  json choice{{"index", 0}};
  if (chat) {
    choice["message"] = {{"role", "assistant"}, {"content", text}};
  } else {
    choice["text"] = text;
  }
  choice["finish_reason"] = finish_reason(request);
  json body{{"id", id},
            {"object", chat ? "chat.completion" : "text_completion"},
            {"created", unix_time()},
            {"model", request.model},
            {"choices", json::array({choice})}};
  if (usage != usage_mode::never) body["usage"] = usage_json(request);
  return body;
}

json embeddings_json(const inference_request& request, std::uint32_t dimension) {
  json data = json::array();
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    data.push_back({{"object", "embedding"},
                    {"index", i},
                    {"embedding", unit_vector(request.inputs[i], dimension)}});
  }
  return {{"object", "list"},
          {"data", data},
          {"model", request.model},
          {"usage",
           {{"prompt_tokens", request.prompt_tokens}, {"total_tokens", request.prompt_tokens}}}};
}

// Ollama has a newer route for many texts and an older one for a single text.
json ollama_embeddings_json(const inference_request& request, std::uint32_t dimension) {
  if (request.route == route::ollama_embeddings) {
    return {{"embedding", unit_vector(request.inputs.front(), dimension)}};
  }
  json vectors = json::array();
  for (const auto& input : request.inputs) vectors.push_back(unit_vector(input, dimension));
  return {{"model", request.model},
          {"embeddings", vectors},
          {"prompt_eval_count", request.prompt_tokens}};
}

json answer_json(const inference_request& request, std::string_view id,
                 const sim_options& options) {
  switch (request.route) {
    case route::chat:
    case route::completions:
    case route::infill:
      return completion_json(request, id, options.usage);
    case route::embeddings:
      return embeddings_json(request, options.embedding_dim);
    case route::ollama_embed:
    case route::ollama_embeddings:
      return ollama_embeddings_json(request, options.embedding_dim);
    case route::count_tokens:
      return {{"input_tokens", request.prompt_tokens}};
    case route::rerank:
      return rerank_json(request, id);
    case route::score:
      return score_json(request, id, unix_time());
    case route::messages:
      return message_json(request, id, text_of(request));
    case route::responses:
      return response_json(request, id, text_of(request), unix_time());
    case route::ollama_chat:
    case route::ollama_generate:
      return ollama_json(request, text_of(request), true);
  }
  return {};
}

}  // namespace

std::string error_body(const api_error& error, dialect spoken) {
  if (spoken == dialect::ollama) return dump({{"error", error.message}});
  if (spoken == dialect::anthropic) return dump(anthropic_error(error));
  const char* type = error.status >= 500 ? "server_error" : "invalid_request_error";
  return dump(
      {{"error",
        {{"message", error.message}, {"type", type}, {"param", nullptr}, {"code", error.code}}}});
}

const char* stream_type(dialect spoken) {
  return spoken == dialect::ollama ? "application/x-ndjson" : "text/event-stream";
}

event_frames::event_frames(const inference_request& request, std::string_view id, usage_mode usage)
    : tokens_(request.completion_tokens) {
  const auto spoken = dialect_of(request.route);
  is_numbered_ = spoken == dialect::responses;
  if (spoken == dialect::openai) end_ = "data: [DONE]\n\n";
  auto events = [&] {
    switch (spoken) {
      case dialect::anthropic:
        return message_events(request, id);
      case dialect::responses:
        return response_events(request, id, text_of(request), unix_time());
      case dialect::ollama:
        return ollama_events(request);
      case dialect::openai:
        break;
    }
    return openai_events(request, id, usage);
  }();
  for (auto& event : events.begin) {
    if (is_numbered_) event["sequence_number"] = begin_events_;
    ++begin_events_;
    begin_ += framed(event, spoken);
  }
  first_ = split(std::move(events.first), spoken, true);
  next_ = split(std::move(events.next), spoken, true);
  for (auto& event : events.end) last_.push_back(split(std::move(event), spoken, false));
}

// The text and the number are the last members, so that both are found from the end, whatever the
// name of the model.
event_frames::split_frame event_frames::split(json event, dialect spoken, bool has_text) {
  event[spoken == dialect::responses ? "sequence_number" : "sim_sent_ns"] = 0;
  const auto text = framed(event, spoken);
  const auto number = text.rfind('}') - 1;
  split_frame result;
  result.end = text.substr(number + 1);
  if (!has_text) {
    result.before_number = text.substr(0, number);
    return result;
  }
  const auto mark = text.rfind(fmt::format("\"{}\"", text_marker)) + 1;
  const auto rest = mark + text_marker.size();
  result.before_text = text.substr(0, mark);
  result.before_number = text.substr(rest, number - rest);
  return result;
}

std::string event_frames::token(std::uint64_t index, std::int64_t sent_ns) const {
  const auto& frame = index == 0 ? first_ : next_;
  const auto& word = escaped_words()[index % escaped_words().size()];
  return fmt::format("{}{}{}{}{}", frame.before_text, word, frame.before_number,
                     number(index, sent_ns), frame.end);
}

std::string event_frames::finish(std::int64_t sent_ns) const {
  std::string text;
  for (std::size_t i = 0; i < last_.size(); ++i) {
    text +=
        fmt::format("{}{}{}", last_[i].before_number, number(tokens_ + i, sent_ns), last_[i].end);
  }
  return text + end_;
}

std::string answer_body(const inference_request& request, std::string_view id,
                        const sim_options& options) {
  return dump(answer_json(request, id, options));
}

std::string models_body(const sim_options& options) {
  const json model{{"id", options.model},
                   {"object", "model"},
                   {"created", 0},
                   {"owned_by", "signalbox-simulation"}};
  return dump({{"object", "list"}, {"data", json::array({model})}});
}

std::string health_body(const sim_options& options, bool loaded) {
  return dump({{"status", loaded ? "ok" : "loading"},
               {"model", options.model},
               {"simulation", true},
               {"memory_bytes", options.memory_bytes}});
}

}  // namespace signalbox::sim
