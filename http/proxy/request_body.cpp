#include "http/proxy/request_body.hpp"

#include <cassert>
#include <nlohmann/json.hpp>

#include "text/json_text.hpp"

namespace signalbox::http {

namespace {

namespace od = simdjson::ondemand;

constexpr std::size_t max_options_bytes = 4096;  // of stream_options

struct field_span {
  bool seen = false;
  std::size_t offset = 0, length = 0;
};

body_problem twice(std::string_view key) {
  return {"The field '" + std::string(key) + "' is in the body twice.", std::string(key)};
}

// stream_options is small and rewritten as a whole, so a DOM suits it. The limit also bounds its
// nesting, over which the DOM's writer recurses.
std::optional<body_problem> read_stream_options(const std::string& body, const field_span& span,
                                                request_facts& facts) {
  const auto text = std::string_view(body).substr(span.offset, span.length);
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
  body_reader(const std::string& body, dialect spoken, bool streams)
      : body_(body), has_options_(spoken == dialect::openai) {
    facts_.stream = streams;
    facts_.text_bytes = body.size();
  }

  std::variant<request_facts, body_problem> read() {
    od::document document;
    od::object object;
    if (!scan_json(body_, body_.capacity(), document, &begin_) ||
        document.get_object().get(object) != simdjson::SUCCESS) {
      return body_problem{"The request body is not a JSON object.", ""};
    }
    for (auto field : object) {
      if (auto problem = read_field(field)) return *problem;
    }
    if (document.current_location().error() == simdjson::SUCCESS) {
      return body_problem{"There is text after the JSON object.", ""};
    }
    return finish();
  }

 private:
  // A value that is not read is skipped by the loop that calls this.
  std::optional<body_problem> read_field(simdjson::simdjson_result<od::field> field) {
    std::string_view key;
    od::value value;
    if (field.unescaped_key().get(key) != simdjson::SUCCESS) return malformed();
    if (field.value().get(value) != simdjson::SUCCESS) return malformed();
    if (key == "model") return model_.seen ? twice("model") : read_model(value);
    if (key == "stream") return stream_.seen ? twice("stream") : read_stream(value);
    if (key == "n") return read_number_of_answers(value);
    if (key == "prompt") facts_.asks_several |= value.type() == od::json_type::array;
    if (key != "stream_options" || !has_options_) return std::nullopt;
    if (options_.seen) return twice("stream_options");
    std::string_view raw;  // a view into the input
    if (simdjson::to_json_string(value).get(raw) != simdjson::SUCCESS) return malformed();
    options_ = span_of(raw);
    return std::nullopt;
  }

  std::optional<body_problem> read_model(od::value& value) {
    const auto raw = value.raw_json_token();
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) {
      return body_problem{"The field 'model' must be a string.", "model"};
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
    if (value.is_null()) return std::nullopt;
    if (value.get_bool().get(facts_.stream) != simdjson::SUCCESS) {
      return body_problem{"The field 'stream' must be true or false.", "stream"};
    }
    return std::nullopt;
  }

  // What is wrong with it is the runtime's to say.
  std::optional<body_problem> read_number_of_answers(od::value& value) {
    std::uint64_t answers = 0;
    if (value.get_uint64().get(answers) == simdjson::SUCCESS && answers > 1) {
      facts_.asks_several = true;
    }
    return std::nullopt;
  }

  std::variant<request_facts, body_problem> finish() {
    if (!model_.seen) return body_problem{"The field 'model' is missing.", "model"};
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

  static body_problem malformed() { return {"The request body is not valid JSON.", ""}; }

  const std::string& body_;
  const bool has_options_;       // `stream_options` is a field of the dialect
  const char* begin_ = nullptr;  // of the scanned text
  request_facts facts_;
  field_span model_, stream_, options_;
};

}  // namespace

std::variant<request_facts, body_problem> read_request_body(const std::string& body, dialect spoken,
                                                            bool streams) {
  return body_reader(body, spoken, streams).read();
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
