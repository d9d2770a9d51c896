// Usage in the answers and the events that runtimes send. It is what another reader finds in valid
// JSON, and bounded in any text.
#include <initializer_list>
#include <string>

#include "fuzz/plain_usage.hpp"
#include "fuzz/support.hpp"
#include "http/proxy/usage.hpp"
#include "text/json_text.hpp"

namespace signalbox::fuzz {

namespace {

using namespace signalbox::http;

plain_json without(plain_json object, std::initializer_list<const char*> keys) {
  for (const auto* key : keys) object.erase(key);
  return object;
}

bool is_text(const plain_json& object, const char* key) {
  return object.contains(key) && object[key].is_string();
}

bool is_usage_only(const plain_json& event) {
  const bool has_usage = event.contains("usage") && event["usage"].is_object();
  const bool has_choices =
      event.contains("choices") && event["choices"].is_array() && !event["choices"].empty();
  const bool is_error = (event.contains("error") && !event["error"].is_null()) ||
                        (is_text(event, "object") &&
                         (event["object"] == "error" || event["object"] == "response.failed"));
  return has_usage && !has_choices && !is_error && !is_text(event, "type") &&
         !event.contains("message") && !event.contains("response");
}

void require_plain_event(const event_facts& facts, const plain_json& json, std::string_view input) {
  const auto rest = read_plain_json(without_usage(input));
  require(rest == without(json, {"usage"}), "an event without its usage has all else");
  auto members = members_beyond_usage(input, "");
  if (!members.empty()) members.erase(0, 1);
  require(read_plain_json("{" + members + "}") ==
              without(json, {"id", "object", "created", "model", "choices", "usage",
                             "system_fingerprint", "service_tier"}),
          "what a client would miss is all but what each event has");
  // Keys are found as they are written; without this one an event is not always parsed.
  if (input.find("\\u") != input.npos || input.find("\"usage\"") == input.npos) return;
  require(is_same(facts.usage, plain_usage(json)), "its usage is what another reader finds");
  require(facts.is_usage_only == is_usage_only(json), "only such an event has only usage");
}

}  // namespace

void try_input(std::string_view input) {
  std::string tight(input), roomy;  // tight: is copied before it is scanned
  tight.shrink_to_fit();
  roomy.reserve(input.size() + scan_padding);
  roomy = input;
  const auto usage = read_usage(roomy);
  require(is_same(read_usage(tight), usage), "the room behind a text changes nothing");
  require_bounds(usage);
  const auto facts = read_event(input);
  require_bounds(facts.usage);
  require(facts.tokens <= 1 + input.size() / json_bytes_of_token, "no event has more tokens");
  require(facts.error_status == 0 || (facts.error_status >= 400 && facts.error_status <= 599),
          "an error has the status of one");
  require(!facts.is_usage_only || !facts.has_choices, "what has choices has not only usage");
  without_usage(input);
  members_beyond_usage(input, input);

  const auto json = read_plain_json(input);
  if (!json) return;
  require(is_same(usage, plain_usage(*json)),
          "the usage of an answer is what another reader finds");
  if (json->is_object()) require_plain_event(facts, *json, input);
}

}  // namespace signalbox::fuzz
