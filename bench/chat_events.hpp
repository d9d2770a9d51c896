// Reads answers to chat completions, streamed or whole: splits server-sent events and takes from
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

  // Returns the data of the next whole event, valid until the next call; nothing when more bytes
  // are needed.
  std::optional<std::string_view> next();

 private:
  std::string pending_, data_;
  std::size_t consumed_ = 0;
  bool has_data_ = false;
};

// One chunk of a stream, or a whole answer.
struct chat_object {
  std::int64_t sent_ns = 0;  // 0: unknown
  std::string_view text;     // of its (last) choice; valid until the next read
  bool has_usage = false;
  std::uint64_t prompt_tokens = 0, completion_tokens = 0;
};

class chat_reader {
 public:
  // Returns nothing when the text is not a JSON object of the expected shape, or is an error
  // object.
  std::optional<chat_object> read(std::string_view json);

 private:
  void read_choices(simdjson::ondemand::value choices, chat_object& out);
  void read_usage(simdjson::ondemand::value usage, chat_object& out);

  simdjson::ondemand::parser parser_;
  std::string padded_;
};

}  // namespace signalbox::bench
