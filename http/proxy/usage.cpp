#include "http/proxy/usage.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "text/json_text.hpp"

namespace signalbox::http {

namespace {

namespace od = simdjson::ondemand;
using simdjson::SUCCESS;

using field_result = simdjson::simdjson_result<od::field>;

constexpr std::uint64_t max_tokens = 1'000'000'000;  // a larger number is a runtime's mistake

// Statuses that an error in a stream may claim for itself; with any other it has this one.
constexpr int first_error_status = 400, last_error_status = 599, default_error_status = 502;

// An event of one token is not longer than this. Of a longer one, what is beyond counts by its
// length, so that a runtime which sends much at once and tells no usage is not used for nothing.
constexpr std::size_t max_token_event_bytes = 1024;

constexpr std::size_t max_compared = std::size_t{1} << 26;  // bytes times bytes

std::uint64_t tokens_in(std::string_view data) {
  if (data.size() <= max_token_event_bytes) return 1;
  return 1 + (data.size() - max_token_event_bytes) / json_bytes_of_token;
}

// Faster than std::string_view::find, which stops at every quote.
bool contains(std::string_view text, std::string_view word) {
  return ::memmem(text.data(), text.size(), word.data(), word.size()) != nullptr;
}

// Reads a number of tokens, also one like 11.0; nothing if it is none.
std::optional<std::uint64_t> read_count(od::value& value) {
  double number = 0;
  if (value.get_double().get(number) != SUCCESS || !(number >= 0)) return std::nullopt;
  return static_cast<std::uint64_t>(std::min(number, static_cast<double>(max_tokens)));
}

bool is_null(od::value& value) {
  bool null = false;
  return value.is_null().get(null) == SUCCESS && null;
}

// Returns false when the field cannot be read; then no more can be.
bool take(field_result& field, std::string_view& key, od::value& value) {
  return read_name(field, key) == SUCCESS && field.value().get(value) == SUCCESS;
}

// The numbers of one report, before it is known what they add up to.
struct usage_reader {
  token_usage usage;
  std::uint64_t cache_read = 0, cache_written = 0;  // Anthropic counts these apart from its input

  void read_details(od::value& value) {
    od::object details;
    if (value.get_object().get(details) != SUCCESS) return;
    for (auto field : details) {
      std::string_view key;
      od::value inner;
      if (!take(field, key, inner)) return;
      if (key == "cached_tokens") usage.cached = read_count(inner);
      if (key == "reasoning_tokens") usage.reasoning = read_count(inner);
    }
  }

  void read(std::string_view key, od::value& value) {
    if (key == "prompt_tokens" || key == "input_tokens" || key == "prompt_eval_count" ||
        key == "tokens_evaluated") {
      usage.prompt = read_count(value);
    } else if (key == "completion_tokens" || key == "output_tokens" || key == "eval_count" ||
               key == "tokens_predicted") {
      usage.completion = read_count(value);
    } else if (key == "cache_read_input_tokens") {
      cache_read = read_count(value).value_or(0);
    } else if (key == "cache_creation_input_tokens") {
      cache_written = read_count(value).value_or(0);
    } else if (key.ends_with("_tokens_details")) {
      read_details(value);
    }
  }

  token_usage finish() {
    if (usage.prompt && cache_read + cache_written > 0) {
      usage.prompt = std::min(*usage.prompt + cache_read + cache_written, max_tokens);
      usage.cached = cache_read;
    }
    const bool is_zero = usage.prompt.value_or(0) == 0 && usage.completion.value_or(0) == 0;
    return is_zero ? token_usage() : usage;
  }
};

token_usage read_usage_object(od::object& object) {
  usage_reader reader;
  for (auto field : object) {
    std::string_view key;
    od::value value;
    if (!take(field, key, value)) break;
    reader.read(key, value);
  }
  return reader.finish();
}

// Reads an event, or a whole answer of which only the usage is wanted.
class event_reader {
 public:
  token_usage read_usage(od::object& object) {
    wants_choices_ = false;
    return read(object).usage;
  }

  event_facts read(od::object& object) {
    read_members(object, true);
    const auto plain = plain_.finish();  // of those who have no object for them
    if (plain.is_told()) facts_.usage.replace_by(plain);
    facts_.is_usage_only =
        has_usage_ && !facts_.has_choices && !is_error_ && !has_type_ && !has_message_;
    if (is_error_) facts_.error_status = status_;
    const bool is_line_of_text = has_message_ && !has_type_ && !is_error_ && !facts_.is_end;
    if (facts_.has_choices || is_delta_ || is_line_of_text || is_piece_) facts_.tokens = 1;
    return facts_;
  }

 private:
  void read_members(od::object& object, bool is_outermost) {
    for (auto field : object) {
      std::string_view key;
      od::value value;
      if (!take(field, key, value)) return;
      read_member(key, value, is_outermost);
    }
  }

  void read_member(std::string_view key, od::value& value, bool is_outermost) {
    if (key == "usage") return read_usage_member(value);
    if (!is_outermost) return;
    if (key == "choices") {
      if (wants_choices_) read_choices(value);
    } else if (key == "error") {
      read_error(value);
    } else if (key == "type" || key == "object") {
      read_type(value, key == "type");
    } else if (key == "code") {
      read_status(value);
    } else if (key == "message" || key == "response") {
      has_message_ = true;
      od::object inner;
      if (value.get_object().get(inner) == SUCCESS) read_members(inner, false);
    } else if (key == "done") {
      bool done = false;
      facts_.is_end = facts_.is_end || (value.get_bool().get(done) == SUCCESS && done);
    } else if (key.ends_with("eval_count") || key == "tokens_evaluated" ||
               key == "tokens_predicted") {
      plain_.read(key, value);
    } else if (key == "stop") {
      read_stop(value);
    }
  }

  // Each event of llama-server's own streams has it: whether it is the last.
  void read_stop(od::value& value) {
    bool is_last = false;
    if (value.get_bool().get(is_last) != SUCCESS) return;
    is_piece_ = !is_last;
    facts_.is_finish = facts_.is_finish || is_last;
  }

  void read_usage_member(od::value& value) {
    od::object usage;
    if (value.get_object().get(usage) != SUCCESS) return;
    has_usage_ = true;
    facts_.usage.replace_by(read_usage_object(usage));
  }

  void read_choices(od::value& value) {
    od::array choices;
    if (value.get_array().get(choices) != SUCCESS) return;
    for (auto choice : choices) {
      od::object members;
      const bool is_first = !std::exchange(facts_.has_choices, true);
      if (choice.get_object().get(members) != SUCCESS) continue;
      for (auto field : members) {
        std::string_view key;
        od::value inner;
        if (!take(field, key, inner)) return;
        if (key == "finish_reason") facts_.is_finish = facts_.is_finish || !is_null(inner);
        if (key != "index" || !is_first) continue;
        std::uint64_t index = 0;
        if (inner.get_uint64().get(index) == SUCCESS) {
          facts_.choice = static_cast<std::uint32_t>(std::min<std::uint64_t>(index, UINT32_MAX));
        }
      }
    }
  }

  void read_error(od::value& value) {
    if (is_null(value)) return;
    is_error_ = true;
    od::object error;
    if (value.get_object().get(error) != SUCCESS) return;
    for (auto field : error) {
      std::string_view key;
      od::value inner;
      if (!take(field, key, inner)) return;
      if (key == "code" || key == "status") read_status(inner);
    }
  }

  void read_status(od::value& value) {
    std::int64_t status = 0;
    if (value.get_int64().get(status) != SUCCESS) return;
    if (status < first_error_status || status > last_error_status) return;
    status_ = static_cast<int>(status);
  }

  // `type` of Anthropic and Responses, `object` of OpenAI and vLLM.
  void read_type(od::value& value, bool is_type) {
    std::string_view text;
    if (value.get_string().get(text) != SUCCESS) return;
    is_error_ = is_error_ || text == "error" || text == "response.failed";
    if (!is_type) return;
    has_type_ = true;
    is_delta_ = text.ends_with("delta") && text != "message_delta";
    facts_.is_end = facts_.is_end || text == "message_stop" || text == "response.completed" ||
                    text == "response.incomplete" || text == "response.failed";
  }

  event_facts facts_;
  usage_reader plain_;
  int status_ = default_error_status;  // or the one that it names
  bool wants_choices_ = true;
  bool has_usage_ = false, has_message_ = false, has_type_ = false;
  bool is_error_ = false, is_delta_ = false, is_piece_ = false;
};

// Whether the value of a member is not null; its name ends at `name_end`.
bool has_value_behind(const char* name_end, const char* end) {
  while (name_end != end && (*name_end == ' ' || *name_end == ':')) ++name_end;
  return name_end != end && *name_end != 'n';
}

// Returns the members that `is_wanted` accepts, with commas between them.
template <typename Predicate>
std::string members_of(std::string_view data, Predicate is_wanted) {
  std::string out;
  od::document document;
  od::object object;
  if (!scan_json(data, data.size(), document) || document.get_object().get(object) != SUCCESS) {
    return out;
  }
  for (auto field : object) {
    std::string_view key, raw;
    od::value value;
    if (!take(field, key, value)) break;
    const auto name = json_quoted(key);
    if (!is_wanted(std::string_view(key), name)) continue;
    if (simdjson::to_json_string(value).get(raw) != SUCCESS) break;
    if (!out.empty()) out += ',';
    out.append(name).append(":").append(raw);
  }
  return out;
}

}  // namespace

void token_usage::replace_by(const token_usage& newer) {
  if (newer.prompt) prompt = newer.prompt;
  if (newer.completion) completion = newer.completion;
  if (newer.cached) cached = newer.cached;
  if (newer.reasoning) reasoning = newer.reasoning;
}

void token_usage::add(const token_usage& other) {
  const auto plus = [](std::optional<std::uint64_t>& sum, std::optional<std::uint64_t> number) {
    if (number) sum = std::min(sum.value_or(0) + *number, max_tokens);
  };
  plus(prompt, other.prompt);
  plus(completion, other.completion);
  plus(cached, other.cached);
  plus(reasoning, other.reasoning);
}

token_usage read_usage(const std::string& body) {
  od::document document;
  od::object object;
  od::array answers;
  if (!scan_json(body, body.capacity(), document)) return {};
  // With another error nothing more may be read.
  const auto error = document.get_object().get(object);
  if (error == SUCCESS) return event_reader().read_usage(object);
  if (error != simdjson::INCORRECT_TYPE) return {};
  token_usage sum;
  if (document.get_array().get(answers) != SUCCESS) return sum;
  for (auto answer : answers) {
    if (answer.get_object().get(object) != SUCCESS) break;
    sum.add(event_reader().read_usage(object));
  }
  return sum;
}

event_facts read_event(std::string_view data) {
  event_facts facts;
  // Nearly all events of OpenAI's streams have neither of these and are not parsed. If a runtime
  // escapes a key, what it says is not seen.
  constexpr std::string_view finish = "\"finish_reason\"";
  const auto* const found =
      static_cast<const char*>(::memmem(data.data(), data.size(), finish.data(), finish.size()));
  facts.has_choices = found != nullptr || contains(data, "\"choices\"");
  const bool is_plain =
      facts.has_choices && !contains(data, "\"usage\"") && !contains(data, "\"error\"");
  const bool is_finish =
      found != nullptr && has_value_behind(found + finish.size(), data.data() + data.size());
  if (is_plain && !is_finish) {
    facts.tokens = tokens_in(data);
    return facts;
  }
  od::document document;
  od::object object;
  if (!scan_json(data, data.size(), document) || document.get_object().get(object) != SUCCESS) {
    return {};
  }
  facts = event_reader().read(object);
  if (facts.tokens > 0) facts.tokens = tokens_in(data);
  return facts;
}

std::string members_beyond_usage(std::string_view data, std::string_view other) {
  constexpr std::array<std::string_view, 8> usual{
      "id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"};
  // Each of its members is looked for in the other event: of giants nothing is taken over.
  if (data.size() * other.size() > max_compared) return {};
  auto members = members_of(data, [&](std::string_view key, std::string_view name) {
    return std::find(usual.begin(), usual.end(), key) == usual.end() && !contains(other, name);
  });
  return members.empty() ? members : "," + members;
}

std::string without_usage(std::string_view data) {
  return "{" + members_of(data, [](std::string_view key, const auto&) { return key != "usage"; }) +
         "}";
}

void usage_sum::add(const event_facts& event) {
  if (!event.usage.is_told()) return;
  if (!event.has_choices) {
    if (adds_up_ && event.is_usage_only) return apart_.add(event.usage);
    return apart_.replace_by(event.usage);
  }
  auto slot = std::find_if(by_choice_.begin(), by_choice_.end(),
                           [&](const auto& one) { return one.first == event.choice; });
  if (slot == by_choice_.end()) {
    if (by_choice_.size() == max_choices) return;
    slot = by_choice_.insert(slot, {event.choice, {}});
  }
  slot->second.replace_by(event.usage);
}

token_usage usage_sum::total() const {
  if (apart_.is_told()) return apart_;
  token_usage sum;
  for (const auto& [choice, usage] : by_choice_) sum.add(usage);
  return sum;
}

}  // namespace signalbox::http
