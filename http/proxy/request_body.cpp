#include "http/proxy/request_body.hpp"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "text/go_duration.hpp"
#include "text/json_text.hpp"

namespace signalbox::http {

namespace {

namespace od = simdjson::ondemand;

constexpr std::size_t max_options_bytes = 4096;  // of stream_options

struct field_span {
  bool seen = false;
  std::size_t offset = 0, length = 0;
};

// Seconds as a number or in a string, or a duration as Go writes it; as request_facts has it.
std::optional<duration> read_keep_alive(od::value& value) {
  constexpr double longest_s = 365 * 86400.0;
  od::json_type type{};
  double seconds = 0;
  if (value.type().get(type) != simdjson::SUCCESS) return std::nullopt;
  if (type == od::json_type::number) {
    if (value.get_double().get(seconds) != simdjson::SUCCESS) return std::nullopt;
  } else {
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) return std::nullopt;
    const auto* const all = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), all, seconds, std::chars_format::fixed);
    if (error != std::errc() || end != all || !std::isfinite(seconds)) {
      const auto length = parse_go_duration(text);
      if (!length) return std::nullopt;
      seconds = to_seconds(*length);
    }
  }
  return from_seconds(std::clamp(seconds, -1.0, longest_s));
}

// `text` begins with the value of a member, and has more behind it.
bool is_empty_text_or_list(std::string_view text) {
  if (text.starts_with(R"("")")) return true;
  const auto next = text.find_first_not_of(" \t\r\n", 1);
  return text.starts_with('[') && next != text.npos && text[next] == ']';
}

body_problem twice(std::string_view key) {
  return {"The field '" + std::string(key) + "' is in the body twice.", std::string(key)};
}

// stream_options is small and rewritten as a whole, so a DOM suits it. The limit also bounds its
// nesting, over which the DOM's writer recurses.
std::optional<body_problem> read_stream_options(std::string_view body, const field_span& span,
                                                request_facts& facts) {
  const auto text = body.substr(span.offset, span.length);
  if (text.size() > max_options_bytes) {
    return body_problem{"stream_options must have at most 4096 bytes.", "stream_options"};
  }
  auto options = nlohmann::json::parse(text, nullptr, false);
  if (options.is_null()) options = nlohmann::json::object();
  if (!options.is_object())
    return body_problem{"stream_options must be an object.", "stream_options"};
  const auto asked = options.find("include_usage");
  if (asked != options.end() && !asked->is_boolean() && !asked->is_null()) {
    return body_problem{"stream_options.include_usage must be true or false.", "stream_options"};
  }
  facts.usage_wanted = asked != options.end() && *asked == true;
  if (facts.usage_wanted || !facts.stream) return std::nullopt;
  options["include_usage"] = true;
  facts.usage_edit.push_back({span.offset, span.length, options.dump()});
  return std::nullopt;
}

class body_reader {
 public:
  body_reader(std::string_view body, dialect spoken, bool streams)
      : body_(body),
        has_options_(spoken == dialect::openai),
        has_keep_alive_(spoken == dialect::ollama) {
    facts_.stream = streams;
    facts_.text_bytes = body.size();
  }

  std::variant<request_facts, body_problem> read(std::size_t room, bool needs_model) {
    od::object object;
    if (!scan_json(body_, body_.size() + room, document_, &begin_)) return malformed();
    // With any other error nothing more may be read.
    const auto error = document_.get_object().get(object);
    if (error == simdjson::INCORRECT_TYPE) return no_object();
    if (error != simdjson::SUCCESS) return malformed();
    for (auto field : object) {
      if (auto problem = read_field(field)) return *problem;
    }
    if (document_.current_location().error() == simdjson::SUCCESS) {
      return body_problem{"There is text after the JSON object.", "", error_code::invalid_json};
    }
    return finish(needs_model);
  }

 private:
  // What is wrong with a body that is not an object, and perhaps not JSON either.
  body_problem no_object() {
    const bool is_whole = is_list_or_scalar();
    if (!is_whole || document_.current_location().error() == simdjson::SUCCESS) return malformed();
    return {"The request body must be a JSON object.", ""};
  }

  // Each type is read by its own function alone: after an error nothing more may be read.
  bool is_list_or_scalar() {
    od::json_type type{};
    if (document_.type().get(type) != simdjson::SUCCESS) return false;
    bool is_null = false;
    switch (type) {
      case od::json_type::array:
        return is_list();
      case od::json_type::string:
        return document_.get_string().error() == simdjson::SUCCESS;
      case od::json_type::number:
        return document_.get_double().error() == simdjson::SUCCESS;
      case od::json_type::boolean:
        return document_.get_bool().error() == simdjson::SUCCESS;
      case od::json_type::null:
        return document_.is_null().get(is_null) == simdjson::SUCCESS && is_null;
      case od::json_type::object:
        break;
    }
    return false;
  }

  bool is_list() {
    od::array list;
    if (document_.get_array().get(list) != simdjson::SUCCESS) return false;
    for (auto element : list) {
      od::value value;
      if (element.get(value) != simdjson::SUCCESS) return false;
      if (checker_.check(value, 1) != json_fault::none) return false;
    }
    return true;
  }

  // What is wrong with a field whose value could not be read: its type, or it is no JSON. No text
  // may be read twice, as the scanner has room for each of them once.
  body_problem wrong_type(od::value& value, body_problem problem) {
    return checker_.check(value, 1) == json_fault::malformed ? malformed() : std::move(problem);
  }

  std::optional<body_problem> read_field(simdjson::simdjson_result<od::field> field) {
    std::string_view key;
    od::value value;
    if (read_name(field, key) != simdjson::SUCCESS) return malformed();
    if (field.value().get(value) != simdjson::SUCCESS) return malformed();
    if (key == "model") return model_.seen ? twice("model") : read_model(value);
    if (key == "stream") return stream_.seen ? twice("stream") : read_stream(value);
    if (key == "n") read_number_of_answers(value);
    if (key == "prompt") read_number_of_prompts(value);
    if (has_keep_alive_ && key == "keep_alive") return read_keep(value);
    if (has_keep_alive_ && (key == "prompt" || key == "messages")) note_prompt(value);
    const bool is_options = key == "stream_options" && has_options_;
    if (is_options && options_.seen) return twice("stream_options");
    const char* const begin = value.raw_json_token().data();
    switch (checker_.check(value, 1)) {
      case json_fault::malformed:
        return malformed();
      case json_fault::too_deep:
        return body_problem{"The request body nests more than 512 deep.", ""};
      case json_fault::none:
        break;
    }
    if (!is_options) return std::nullopt;
    const char* next = nullptr;  // the comma or the bracket behind the value
    if (document_.current_location().get(next) != simdjson::SUCCESS) return malformed();
    options_ = span_of({begin, static_cast<std::size_t>(next - begin)});
    return std::nullopt;
  }

  std::optional<body_problem> read_model(od::value& value) {
    const auto raw = value.raw_json_token();
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) {
      return wrong_type(value, {"The field 'model' must be a string.", "model"});
    }
    if (text.empty() || text.size() > max_model_bytes) {
      return body_problem{"The field 'model' must have 1 to 200 bytes.", "model"};
    }
    facts_.model = text;
    model_ = span_of(raw);
    return std::nullopt;
  }

  std::optional<body_problem> read_stream(od::value& value) {
    stream_.seen = true;
    bool is_null = false;
    if (value.is_null().get(is_null) == simdjson::SUCCESS && is_null) return std::nullopt;
    if (value.get_bool().get(facts_.stream) != simdjson::SUCCESS) {
      return wrong_type(value, {"The field 'stream' must be true or false.", "stream"});
    }
    return std::nullopt;
  }

  // Looks at the value only. What is wrong with it is the runtime's to say.
  void read_number_of_answers(od::value& value) {
    const auto text = value.raw_json_token();
    std::uint64_t answers = 0;
    std::from_chars(text.data(), text.data() + text.size(), answers);
    facts_.asks_several = facts_.asks_several || answers > 1;
  }

  void read_number_of_prompts(od::value& value) {
    od::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return;
    facts_.asks_several = facts_.asks_several || type == od::json_type::array;
  }

  std::optional<body_problem> read_keep(od::value& value) {
    if (std::exchange(keep_alive_seen_, true)) return twice("keep_alive");
    bool is_null = false;
    if (value.is_null().get(is_null) == simdjson::SUCCESS && is_null) return std::nullopt;
    facts_.keep_alive = read_keep_alive(value);
    if (facts_.keep_alive) return std::nullopt;
    body_problem problem{
        "The field 'keep_alive' must be a number of seconds or a duration such as \"5m\".",
        "keep_alive"};
    // A text was read already.
    return value.raw_json_token().starts_with('"') ? problem : wrong_type(value, problem);
  }

  // Looks at the value only.
  void note_prompt(od::value& value) {
    od::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS || type == od::json_type::null) return;
    const char* const begin = value.raw_json_token().data();
    const auto offset = static_cast<std::size_t>(begin - begin_);
    const bool is_empty = is_empty_text_or_list({begin, body_.size() - offset});
    facts_.has_prompt = facts_.has_prompt || !is_empty;
  }

  std::variant<request_facts, body_problem> finish(bool needs_model) {
    if (needs_model && !model_.seen) {
      return body_problem{"The field 'model' is missing.", "model", error_code::missing_parameter};
    }
    facts_.model_offset = model_.offset;
    facts_.model_length = model_.length;
    if (options_.seen) {
      if (auto problem = read_stream_options(body_, options_, facts_)) return *problem;
    } else if (facts_.stream && has_options_) {
      facts_.usage_edit.push_back(
          {body_.find('{') + 1, 0, R"("stream_options":{"include_usage":true},)"});
    }
    return std::move(facts_);
  }

  field_span span_of(std::string_view raw) const {
    while (!raw.empty() && std::string_view(" \n\r\t").find(raw.back()) != raw.npos) {
      raw.remove_suffix(1);
    }
    return {true, static_cast<std::size_t>(raw.data() - begin_), raw.size()};
  }

  static body_problem malformed() {
    return {"The request body is not valid JSON.", "", error_code::invalid_json};
  }

  const std::string_view body_;
  od::document document_;
  json_checker checker_;
  const bool has_options_;     // `stream_options` is a field of the dialect
  const bool has_keep_alive_;  // so is `keep_alive`
  bool keep_alive_seen_ = false;
  const char* begin_ = nullptr;  // of the scanned text
  request_facts facts_;
  field_span model_, stream_, options_;
};

}  // namespace

std::variant<request_facts, body_problem> read_request_body(std::string_view body, dialect spoken,
                                                            bool streams, std::size_t room,
                                                            bool needs_model) {
  return body_reader(body, spoken, streams).read(room, needs_model);
}

body_pieces apply_edits(std::string_view body, const std::vector<body_edit>& edits) {
  assert(edits.size() <= 2);
  body_pieces pieces;
  auto next = pieces.begin();
  std::size_t from = 0;
  for (const auto& edit : edits) {
    *next++ = body.substr(from, edit.offset - from);
    *next++ = edit.text;
    from = edit.offset + edit.length;
  }
  *next = body.substr(from);
  return pieces;
}

}  // namespace signalbox::http
