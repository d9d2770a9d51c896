// Reads what a chat completion answers, streamed or not: splits server-sent events and takes from
// each JSON object only what a load generator needs, without building a document.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace signalbox::bench {

// Collects the bytes of a body until an event is whole. Comment lines and fields other than `data`
// are skipped.
class event_splitter {
 public:
  // Throws std::length_error when an event grows over 4 MiB.
  void add(std::string_view bytes);

  // The data of the next whole event; valid until the next call. Nothing: more bytes are needed.
  std::optional<std::string_view> next();

 private:
  std::string pending_, data_;
  std::size_t consumed_ = 0;
  bool has_data_ = false;
};

// One chunk of a stream, or a whole answer.
struct chat_object {
  std::int64_t sent_ns = 0;  // CLOCK_MONOTONIC of the simulated runtime; 0: not told
  std::string_view text;     // of its (last) choice; valid until the next read
  bool has_usage = false;
  std::uint64_t prompt_tokens = 0, completion_tokens = 0;
};

class chat_reader {
 public:
  // Nothing when it is not a JSON object of the expected shape, or when it is an error object.
  std::optional<chat_object> read(std::string_view json);

 private:
  void read_choices(simdjson::ondemand::value choices, chat_object& out);
  void read_usage(simdjson::ondemand::value usage, chat_object& out);

  simdjson::ondemand::parser parser_;
  std::string padded_;
};

}  // namespace signalbox::bench
