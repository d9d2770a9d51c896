#include "runtimes/sim/requests.hpp"

#include <fmt/format.h>

#include <optional>

#include "runtimes/sim/json.hpp"

namespace signalbox::sim {
namespace {

constexpr std::uint64_t max_prompt_tokens = 10'000'000;
constexpr std::uint64_t max_completion_tokens = 1'000'000;
constexpr std::size_t max_inputs = 2048;

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

bool read_flag(const json& body, const char* key, bool otherwise = false) {
  const auto found = body.find(key);
  if (found == body.end() || found->is_null()) return otherwise;
  if (!found->is_boolean()) {
    throw api_error{400, fmt::format("{} must be a boolean", key), "invalid_value"};
  }
  return found->get<bool>();
}

// Counts the words of a text, or of the texts among the parts of a content.
std::uint64_t count_content(const json& content) {
  if (content.is_string()) return count_words(content.get_ref<const std::string&>());
  std::uint64_t count = 0;
  if (!content.is_array()) return count;
  for (const auto& part : content) {
    if (!part.is_object()) continue;
    const auto text = part.find("text");
    if (text != part.end() && text->is_string()) {
      count += count_words(text->get_ref<const std::string&>());
    }
  }
  return count;
}

// The same of a member, which may be missing.
std::uint64_t count_member(const json& body, const char* key) {
  const auto found = body.find(key);
  return found == body.end() ? 0 : count_content(*found);
}

std::uint64_t count_messages(const json& body, const char* key) {
  const auto messages = body.find(key);
  if (messages == body.end() || !messages->is_array() || messages->empty()) {
    throw api_error{400, fmt::format("{} must be a list that is not empty", key), "invalid_value"};
  }
  std::uint64_t count = 0;
  for (const auto& message : *messages) {
    if (!message.is_object()) {
      throw api_error{400, fmt::format("each of {} must be an object", key), "invalid_value"};
    }
    count += count_member(message, "content");
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

// Counts the tokens of each pair, as a model reads a query with each text that it is compared with.
std::uint64_t count_pairs(const json& body, const char* query, const char* texts,
                          inference_request& request) {
  auto count = count_input(body, texts, &request.inputs);
  const auto of_queries = count_input(body, query, &request.queries);
  const auto pairs = request.inputs.size();
  if (request.queries.size() != 1 && request.queries.size() != pairs) {
    throw api_error{400, fmt::format("{} must be one text, or as many as {}", query, texts),
                    "invalid_value"};
  }
  count += request.queries.size() == 1 ? of_queries * pairs : of_queries;
  return count;
}

std::uint64_t count_prompt(const json& body, inference_request& request) {
  switch (request.route) {
    case route::chat:
    case route::ollama_chat:
      return count_messages(body, "messages");
    case route::messages:
    case route::count_tokens:
      return count_member(body, "system") + count_messages(body, "messages");
    case route::responses: {
      const auto input = body.find("input");
      const bool is_text = input != body.end() && input->is_string();
      return count_member(body, "instructions") +
             (is_text ? count_content(*input) : count_messages(body, "input"));
    }
    case route::completions:
      return count_input(body, "prompt", nullptr);
    case route::ollama_generate:
      return count_member(body, "system") + count_input(body, "prompt", nullptr);
    case route::embeddings:
    case route::ollama_embed:
      return count_input(body, "input", &request.inputs);
    case route::ollama_embeddings:
      return count_input(body, "prompt", &request.inputs);
    case route::infill:
      return count_input(body, "input_prefix", nullptr) +
             count_input(body, "input_suffix", nullptr);
    case route::rerank:
      return count_pairs(body, "query", "documents", request);
    case route::score:
      return count_pairs(body, "text_1", "text_2", request);
  }
  return 0;
}

bool has_text(route r) {
  switch (r) {
    case route::embeddings:
    case route::count_tokens:
    case route::rerank:
    case route::score:
    case route::ollama_embed:
    case route::ollama_embeddings:
      return false;
    default:
      return true;
  }
}

// Returns how many tokens the client wants at most, by the name that its API has for that.
std::optional<std::uint64_t> read_limit(const json& body, route r) {
  switch (dialect_of(r)) {
    case dialect::responses:
      return read_count(body, "max_output_tokens", max_completion_tokens);
    case dialect::ollama: {
      const auto options = body.find("options");
      if (options == body.end() || !options->is_object()) return std::nullopt;
      const auto wanted = options->find("num_predict");
      const bool is_negative =
          wanted != options->end() && wanted->is_number_integer() && !wanted->is_number_unsigned();
      if (is_negative) return std::nullopt;  // endless, or as much as fits
      return read_count(*options, "num_predict", max_completion_tokens);
    }
    case dialect::anthropic: {
      const auto limit = read_count(body, "max_tokens", max_completion_tokens);
      if (!limit) throw api_error{400, "max_tokens is missing", "invalid_value"};
      return limit;
    }
    case dialect::openai:
      break;
  }
  const auto limit = read_count(body, "max_completion_tokens", max_completion_tokens);
  return limit ? limit : read_count(body, "max_tokens", max_completion_tokens);
}

void read_lengths(const json& body, const sim_options& options, inference_request& request) {
  request.prompt_tokens =
      read_count(body, "sim_prompt_tokens", max_prompt_tokens).value_or(request.prompt_tokens);
  if (!has_text(request.route)) return;
  const auto wanted = read_count(body, "sim_completion_tokens", max_completion_tokens);
  const auto limit = read_limit(body, request.route);
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
  request.prompt_tokens = count_prompt(body, request);
  read_lengths(body, options, request);
  request.top_n = read_count(body, "top_n", max_inputs).value_or(max_inputs);
  if (!has_text(r)) return request;
  if (read_count(body, "n", 128).value_or(1) != 1) {
    throw api_error{400, "only n = 1 is simulated", "invalid_value"};
  }
  request.stream = read_flag(body, "stream", dialect_of(r) == dialect::ollama);
  const auto stream_options = body.find("stream_options");
  if (stream_options != body.end() && stream_options->is_object()) {
    request.include_usage = read_flag(*stream_options, "include_usage");
  }
  return request;
}

}  // namespace

dialect dialect_of(route r) {
  switch (r) {
    case route::messages:
    case route::count_tokens:
      return dialect::anthropic;
    case route::responses:
      return dialect::responses;
    case route::ollama_chat:
    case route::ollama_generate:
    case route::ollama_embed:
    case route::ollama_embeddings:
      return dialect::ollama;
    default:
      return dialect::openai;
  }
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

}  // namespace signalbox::sim
