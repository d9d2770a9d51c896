#include "http/proxy/usage.hpp"

#include <algorithm>
#include <cstring>

#include "text/json_text.hpp"

namespace signalbox::http {

namespace {

namespace od = simdjson::ondemand;

constexpr std::uint64_t most_tokens = 1'000'000'000;  // a larger number is a runtime's mistake

// Faster than std::string_view::find, which stops at every quote.
bool contains(std::string_view text, std::string_view word) {
  return ::memmem(text.data(), text.size(), word.data(), word.size()) != nullptr;
}

std::uint64_t count(od::object& usage, std::string_view key) {
  std::uint64_t value = 0;
  // A field that is absent, null or negative counts as zero. Fields come in any order.
  if (usage.find_field_unordered(key).get_uint64().get(value) != simdjson::SUCCESS) return 0;
  return std::min(value, most_tokens);
}

std::optional<token_usage> read_counts(od::value value) {
  od::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return std::nullopt;
  token_usage usage;
  usage.prompt = count(object, "prompt_tokens");
  usage.completion = count(object, "completion_tokens");
  return usage;
}

}  // namespace

std::optional<token_usage> read_usage(const std::string& body) {
  od::document document;
  od::value value;
  if (!scan_json(body, body.capacity(), document)) return std::nullopt;
  if (document.find_field_unordered("usage").get(value) != simdjson::SUCCESS) return std::nullopt;
  return read_counts(value);
}

chunk_facts read_chunk(std::string_view payload) {
  chunk_facts facts;
  // Nearly all chunks have no usage and are not parsed. If a runtime escapes the key, its usage is
  // not seen.
  if (!contains(payload, "\"usage\"")) {
    facts.has_choices = contains(payload, "\"choices\"");
    return facts;
  }
  od::document document;
  od::value value;
  if (!scan_json(payload, payload.size(), document)) return facts;
  if (document.find_field_unordered("usage").get(value) == simdjson::SUCCESS) {
    facts.usage = read_counts(value);
  }
  od::array choices;
  if (document.find_field_unordered("choices").get_array().get(choices) == simdjson::SUCCESS) {
    bool empty = true;
    if (choices.is_empty().get(empty) == simdjson::SUCCESS) {
      facts.has_choices = !empty;
      facts.is_usage_only = empty && facts.usage.has_value();
    }
  }
  return facts;
}

}  // namespace signalbox::http
