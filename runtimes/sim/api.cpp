#include "runtimes/sim/api.hpp"

#include <fmt/format.h>

#include <cassert>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

namespace signalbox::sim {
namespace {

using json = nlohmann::ordered_json;

constexpr std::uint64_t max_prompt_tokens = 10'000'000;
constexpr std::uint64_t max_completion_tokens = 1'000'000;
constexpr std::size_t max_inputs = 2048;
constexpr std::string_view text_marker = "@text@";

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

std::uint64_t count_words(std::string_view text) {
  std::uint64_t count = 0;
  bool inside = false;
  for (const char c : text) {
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    count += !space && !inside;
    inside = !space;
  }
  return count;
}

std::int64_t unix_time() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

// Reads an optional integer of the body. Throws api_error.
std::optional<std::uint64_t> read_count(const json& body, const char* key, std::uint64_t max) {
  const auto found = body.find(key);
  if (found == body.end() || found->is_null()) return std::nullopt;
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() > max) {
    throw api_error{400, fmt::format("{} must be an integer from 0 to {}", key, max),
                    "invalid_value"};
  }
  return found->get<std::uint64_t>();
}

bool read_flag(const json& body, const char* key) {
  const auto found = body.find(key);
  if (found == body.end() || found->is_null()) return false;
  if (!found->is_boolean()) {
    throw api_error{400, fmt::format("{} must be a boolean", key), "invalid_value"};
  }
  return found->get<bool>();
}

std::uint64_t count_chat(const json& body) {
  const auto messages = body.find("messages");
  if (messages == body.end() || !messages->is_array() || messages->empty()) {
    throw api_error{400, "messages must be a list that is not empty", "invalid_value"};
  }
  std::uint64_t count = 0;
  for (const auto& message : *messages) {
    if (!message.is_object()) {
      throw api_error{400, "each of messages must be an object", "invalid_value"};
    }
    const auto content = message.find("content");
    if (content == message.end()) continue;
    if (content->is_string()) count += count_words(content->get_ref<const std::string&>());
    if (!content->is_array()) continue;
    for (const auto& part : *content) {
      if (!part.is_object()) continue;
      const auto text = part.find("text");
      if (text != part.end() && text->is_string()) {
        count += count_words(text->get_ref<const std::string&>());
      }
    }
  }
  return count;
}

// Counts the tokens of a prompt or input: a text, a list of texts, a list of tokens, or a list of
// such lists.
std::uint64_t count_input(const json& body, const char* key, std::vector<std::string>* inputs) {
  const auto found = body.find(key);
  const bool usable = found != body.end() && (found->is_string() || found->is_array());
  if (!usable || found->empty() || found->size() > max_prompt_tokens) {
    throw api_error{400, fmt::format("{} must be a text or a list", key), "invalid_value"};
  }
  const bool is_list = found->is_array() && !found->front().is_number();
  const auto items = is_list ? *found : json::array({*found});
  if (items.size() > max_inputs) {
    throw api_error{400, fmt::format("{} has more than {} items", key, max_inputs), "too_many"};
  }
  std::uint64_t count = 0;
  for (const auto& item : items) {
    if (!item.is_string() && !item.is_array()) {
      throw api_error{400, fmt::format("{} must be a text or a list", key), "invalid_value"};
    }
    count += item.is_string() ? count_words(item.get_ref<const std::string&>()) : item.size();
    if (inputs) inputs->push_back(item.is_string() ? item.get<std::string>() : dump(item));
  }
  return count;
}

void read_lengths(const json& body, const sim_options& options, inference_request& request) {
  request.prompt_tokens =
      read_count(body, "sim_prompt_tokens", max_prompt_tokens).value_or(request.prompt_tokens);
  if (request.route == route::embeddings) return;
  const auto wanted = read_count(body, "sim_completion_tokens", max_completion_tokens);
  auto limit = read_count(body, "max_completion_tokens", max_completion_tokens);
  if (!limit) limit = read_count(body, "max_tokens", max_completion_tokens);
  request.limited = limit && (!wanted || *limit < *wanted);
  request.completion_tokens = request.limited ? *limit : wanted.value_or(options.default_tokens);
}

inference_request read_request(route r, const json& body, const sim_options& options) {
  inference_request request;
  request.route = r;
  const auto model = body.find("model");
  if (model == body.end() || !model->is_string()) {
    throw api_error{400, "model must be a text", "invalid_value"};
  }
  request.model = model->get<std::string>();
  if (!options.any_model && request.model != options.model) {
    throw api_error{404, fmt::format("the model {} does not exist", dump(*model)),
                    "model_not_found"};
  }
  switch (r) {
    case route::chat:
      request.prompt_tokens = count_chat(body);
      break;
    case route::completions:
      request.prompt_tokens = count_input(body, "prompt", nullptr);
      break;
    case route::embeddings:
      request.prompt_tokens = count_input(body, "input", &request.inputs);
      break;
    case route::infill:
      request.prompt_tokens =
          count_input(body, "input_prefix", nullptr) + count_input(body, "input_suffix", nullptr);
      break;
  }
  read_lengths(body, options, request);
  if (r == route::embeddings) return request;
  if (read_count(body, "n", 128).value_or(1) != 1) {
    throw api_error{400, "only n = 1 is simulated", "invalid_value"};
  }
  request.stream = read_flag(body, "stream");
  const auto stream_options = body.find("stream_options");
  if (stream_options != body.end() && stream_options->is_object()) {
    request.include_usage = read_flag(*stream_options, "include_usage");
  }
  return request;
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

}  // namespace

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string error_body(const api_error& error) {
  const char* type = error.status >= 500 ? "server_error" : "invalid_request_error";
  return dump(
      {{"error",
        {{"message", error.message}, {"type", type}, {"param", nullptr}, {"code", error.code}}}});
}

std::variant<inference_request, api_error> parse_request(route r, std::string_view body,
                                                         const sim_options& options) {
  const auto parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object()) {
    return api_error{400, "the body must be a JSON object",
                     parsed.is_discarded() ? "invalid_json" : "invalid_value"};
  }
  try {
    return read_request(r, parsed, options);
  } catch (const api_error& error) {
    return error;
  }
}

event_frames::event_frames(const inference_request& request, std::string_view id,
                           usage_mode usage) {
  const bool chat = request.route == route::chat;
  const json head{{"id", id},
                  {"object", chat ? "chat.completion.chunk" : "text_completion"},
                  {"created", unix_time()},
                  {"model", request.model}};
  // The text and sim_sent_ns are the last fields, so that both are found from the end, whatever the
  // name of the model.
  const auto split = [](json frame) {
    frame["sim_sent_ns"] = 0;
    const auto text = dump(frame);
    const auto time = text.size() - 2;  // of "0}"
    const auto mark = text.rfind(fmt::format("\"{}\"", text_marker));
    split_frame result;
    result.end = text.substr(time + 1) + "\n\n";
    if (mark == std::string::npos) {
      result.before_time = "data: " + text.substr(0, time);
    } else {
      result.before_text = "data: " + text.substr(0, mark + 1);
      const auto rest = mark + 1 + text_marker.size();
      result.before_time = text.substr(rest, time - rest);
    }
    return result;
  };
  if (request.route == route::infill) {
    first_ = next_ = split(native_json(request, text_marker, false));
    finish_ = split(native_json(request, "", true));
    return;
  }
  const auto choice = [&](json delta, const json& reason) {
    json frame = head;
    json item{{"index", 0}};
    if (chat) {
      item["delta"] = std::move(delta);
    } else {
      item["text"] = delta.value("content", "");
    }
    item["finish_reason"] = reason;
    frame["choices"] = json::array({item});
    return frame;
  };
  first_ = split(choice({{"role", "assistant"}, {"content", text_marker}}, nullptr));
  next_ = split(choice({{"content", text_marker}}, nullptr));
  json last = choice(json::object(), finish_reason(request));
  if (usage == usage_mode::finish_chunk) last["usage"] = usage_json(request);
  finish_ = split(last);
  json own = head;
  own["choices"] = json::array();
  own["usage"] = usage_json(request);
  usage_ = split(own);
  own_usage_chunk_ =
      usage == usage_mode::always || (usage == usage_mode::asked && request.include_usage);
}

std::string event_frames::token(std::uint64_t index, std::int64_t sent_ns) const {
  const auto& frame = index == 0 ? first_ : next_;
  const auto& word = escaped_words()[index % escaped_words().size()];
  return fmt::format("{}{}{}{}{}", frame.before_text, word, frame.before_time, sent_ns, frame.end);
}

std::string event_frames::finish(std::int64_t sent_ns) const {
  auto text = fmt::format("{}{}{}", finish_.before_time, sent_ns, finish_.end);
  if (own_usage_chunk_) {
    text += fmt::format("{}{}{}", usage_.before_time, sent_ns, usage_.end);
  }
  return text + "data: [DONE]\n\n";
}

std::string completion_body(const inference_request& request, std::string_view id,
                            usage_mode usage) {
  const bool chat = request.route == route::chat;
  std::string text;
  for (std::uint64_t i = 0; i < request.completion_tokens; ++i) text += words()[i % words().size()];
  if (request.route == route::infill) return dump(native_json(request, text, true));
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
  return dump(body);
}

std::string embeddings_body(const inference_request& request, std::uint32_t dimension) {
  json data = json::array();
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    data.push_back({{"object", "embedding"},
                    {"index", i},
                    {"embedding", unit_vector(request.inputs[i], dimension)}});
  }
  return dump(
      {{"object", "list"},
       {"data", data},
       {"model", request.model},
       {"usage",
        {{"prompt_tokens", request.prompt_tokens}, {"total_tokens", request.prompt_tokens}}}});
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
