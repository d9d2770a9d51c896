// Token counts as runtimes report them, in a body or in the events of a stream, in each dialect:
// OpenAI's chat, completions, embeddings and Responses, Anthropic's messages, Ollama's routes, and
// llama-server's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace signalbox::http {

// About this many bytes of JSON make a token: for estimates, where no usage is known.
inline constexpr std::size_t json_bytes_of_token = 4;

// Tokens of one request, as far as its runtime told them. A report of zeros tells nothing.
struct token_usage {
  std::optional<std::uint64_t> prompt;  // with those read from a cache
  std::optional<std::uint64_t> completion;
  std::optional<std::uint64_t> cached;     // of prompt
  std::optional<std::uint64_t> reasoning;  // of completion

  bool is_told() const { return prompt.has_value() || completion.has_value(); }
  void replace_by(const token_usage& newer);  // what `newer` does not tell stays
  void add(const token_usage& other);
};

// The facts of one event of a stream.
struct event_facts {
  token_usage usage;
  std::uint64_t tokens = 0;    // of the answer that are in it: an estimate
  bool is_usage_only = false;  // an object `usage`, and no `choices` with anything in them
  std::uint32_t choice = 0;    // index of the first of its `choices`
  bool has_choices = false;    // `choices` is present and not empty
  bool is_finish = false;      // the answer, or one of its choices, is complete with it
  bool is_end = false;         // nothing of use comes after it
  int error_status = 0;        // of the error that it tells; 0: none
};

// Reads the usage of a whole JSON answer; an array of answers is added up.
token_usage read_usage(const std::string& body);

// Reads the data of one event of a stream, or a line of one with JSON in each line.
event_facts read_event(std::string_view data);

// Returns the members of an event with usage alone that a client misses if it does not get the
// event, such as llama-server's `timings`, as JSON text that begins with a comma: all but those
// which each event has, and those in `other`.
std::string members_beyond_usage(std::string_view data, std::string_view other);

// Returns the event without its `usage`.
std::string without_usage(std::string_view data);

// The usage of one request from the events of its stream. Later reports replace earlier ones.
class usage_sum {
 public:
  // Several prompts, or several answers to one, were asked for: a runtime may report on each.
  void expect_several() { adds_up_ = true; }
  void add(const event_facts& event);
  void set(const token_usage& usage) { apart_ = usage; }  // of an answer that is no stream
  token_usage total() const;

 private:
  static constexpr std::size_t max_choices = 1024;  // that are told apart

  bool adds_up_ = false;
  token_usage apart_;                                             // of events without choices
  std::vector<std::pair<std::uint32_t, token_usage>> by_choice_;  // of the others, by index
};

}  // namespace signalbox::http
