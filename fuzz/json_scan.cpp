// The bodies of inference requests. What the proxy reads is what another reader finds, and its
// edits change nothing else.
#include <algorithm>
#include <cmath>
#include <string>
#include <variant>

#include "fuzz/plain_json.hpp"
#include "fuzz/support.hpp"
#include "http/proxy/request_body.hpp"
#include "text/json_text.hpp"

namespace signalbox::fuzz {

namespace {

using namespace signalbox::http;

constexpr std::size_t most_options_bytes = 4096;  // more stream_options would be refused
constexpr std::string_view other_model = "other \"model\"";

std::string with_room(std::string_view text) {
  std::string body;
  body.reserve(text.size() + scan_padding);
  return body.append(text);
}

const request_facts* facts_in(const std::variant<request_facts, body_problem>& read) {
  return std::get_if<request_facts>(&read);
}

// As upstream_call does it.
std::string edited(const std::string& body, const request_facts& facts) {
  auto edits = facts.usage_edit;
  edits.push_back({facts.model_offset, facts.model_length, json_quoted(other_model)});
  std::sort(edits.begin(), edits.end(),
            [](const auto& a, const auto& b) { return a.offset < b.offset; });
  std::string out;
  for (const auto piece : apply_edits(body, edits)) out += piece;
  return out;
}

void require_same(const request_facts& a, const request_facts& b) {
  require(a.model == b.model && a.stream == b.stream && a.usage_wanted == b.usage_wanted &&
              a.model_offset == b.model_offset && a.model_length == b.model_length &&
              a.usage_edit.size() == b.usage_edit.size(),
          "the room behind a body changes nothing");
}

bool is_flag_or_absent(const plain_json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() || found->is_boolean();
}

bool is_set(const plain_json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && *found == true;
}

int depth_of(const plain_json& value) {
  int deepest = 0;
  for (const auto& inner : value) {
    if (inner.is_structured()) deepest = std::max(deepest, depth_of(inner));
  }
  return deepest + 1;
}

bool is_acceptable(const plain_json& body) {
  constexpr std::size_t most_model_bytes = 200;
  if (!body.is_object() || depth_of(body) > max_json_depth) return false;
  if (!is_flag_or_absent(body, "stream")) return false;
  const auto model = body.find("model"), options = body.find("stream_options");
  if (model == body.end() || !model->is_string()) return false;
  const auto size = model->get_ref<const std::string&>().size();
  if (size == 0 || size > most_model_bytes) return false;
  return options == body.end() || options->is_null() ||
         (options->is_object() && is_flag_or_absent(*options, "include_usage"));
}

// What the runtime should get.
plain_json edited(plain_json body) {
  body["model"] = other_model;
  if (is_set(body, "stream")) {
    auto& options = body["stream_options"];
    if (options.is_null()) options = plain_json::object();
    options["include_usage"] = true;
  }
  return body;
}

void require_plain_reading(const plain_json& json, const request_facts* facts,
                           const std::string& body) {
  require(is_acceptable(json) == (facts != nullptr), "what is refused is what should be");
  if (facts == nullptr) return;
  require(facts->model == json["model"], "the model is what another reader finds");
  require(facts->stream == is_set(json, "stream"), "so is the wish for a stream");
  const bool usage_wanted =
      json.contains("stream_options") && is_set(json["stream_options"], "include_usage");
  require(facts->usage_wanted == usage_wanted, "so is the wish for usage");
  const auto answers = json.value("n", plain_json());
  const bool asks_several = json.value("prompt", plain_json()).is_array() ||
                            (answers.is_number_unsigned() && answers > 1);
  // Of other numbers only the beginning is read.
  require(facts->asks_several == asks_several || answers.is_number_float(),
          "so is the wish for several answers");
  const auto out = edited(body, *facts);
  const auto result = read_plain_json(out);
  require(result.has_value(), "an edited body is valid");
  // The order of members does not count, nor can it change: all but the edits is as it was.
  require(nlohmann::json(*result) == nlohmann::json(edited(json)),
          "it has the edits, and all else is equal");
}

bool says_nothing(const plain_json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() || *found == "" || *found == plain_json::array();
}

// What is in Ollama's dialect only. Whether a text is a duration is not checked.
void require_ollama_reading(const plain_json& json, const request_facts* facts) {
  if (!json.is_object()) return require(facts == nullptr, "Ollama's requests are objects");
  auto common = json;
  common.erase("stream_options");
  const auto keep = json.value("keep_alive", plain_json());
  const bool is_right = keep.is_null() || keep.is_number();
  require(facts == nullptr || is_acceptable(common), "Ollama's dialect takes no more");
  require(facts == nullptr || is_right || keep.is_string(), "how long a model is kept is a number");
  require(facts != nullptr || !is_acceptable(common) || !is_right, "and no less");
  if (facts == nullptr) return;
  require(facts->keep_alive.has_value() == !keep.is_null(), "it is found if it is there");
  if (keep.is_number()) {
    constexpr double longest_s = 365 * 86400.0;
    const auto expected_s = std::clamp(keep.get<double>(), -1.0, longest_s);
    require(std::abs(to_seconds(*facts->keep_alive) - expected_s) < 1e-6, "and it is right");
  }
  require(facts->has_prompt == !(says_nothing(json, "prompt") && says_nothing(json, "messages")),
          "it is seen whether something is asked");
}

}  // namespace

void try_input(std::string_view input) {
  if (input.size() > most_options_bytes) return;
  const auto roomy = with_room(input);
  std::string tight(input);
  tight.shrink_to_fit();
  const auto read = read_request_body(roomy);
  const auto* facts = facts_in(read);
  const auto read_tight = read_request_body(tight);
  const auto* facts_tight = facts_in(read_tight);
  require((facts == nullptr) == (facts_tight == nullptr), "the room behind a body changes nothing");
  if (facts != nullptr) {
    require_same(*facts, *facts_tight);
    const auto out = with_room(edited(roomy, *facts));
    const auto read_again = read_request_body(out);
    const auto* again = facts_in(read_again);
    require(again != nullptr, "an edited body is accepted again");
    require(again->model == other_model, "it has the new model");
    require(again->stream == facts->stream, "it asks for a stream if the original does");
    require(again->usage_wanted || !again->stream, "a stream has usage");
  }
  require(facts == nullptr || !is_broken_json(input), "what is accepted is JSON");
  const auto read_ollamas =
      read_request_body(roomy, dialect::ollama, true, roomy.capacity() - roomy.size());
  if (const auto json = read_plain_json(input)) {
    require_plain_reading(*json, facts, roomy);
    require_ollama_reading(*json, facts_in(read_ollamas));
  }
}

}  // namespace signalbox::fuzz
