// What the proxy must know of an inference request's JSON body, read by a validating on-demand
// scanner (simdjson), and the edits to it. Every byte that we do not edit goes on as it came.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace signalbox::http {

struct body_edit {
  std::size_t offset = 0;  // in the original body
  std::size_t length = 0;  // bytes replaced; 0: inserted
  std::string text;
};

struct request_facts {
  std::string model;
  bool stream = false;
  bool usage_wanted = false;     // the client asked for stream_options.include_usage
  std::size_t model_offset = 0;  // of the value's raw token, quotes included
  std::size_t model_length = 0;
  std::vector<body_edit> usage_edit;  // at most one: makes the runtime send usage in a stream
};

struct body_problem {
  std::string message;
  std::string param;  // the field at fault, or empty
};

// Refuses what is no JSON object, a missing or non-string `model` (or one over 200 bytes), a
// non-boolean `stream`, a `stream_options` that is no object, has over 4 KiB or a non-boolean
// `include_usage`, and the same key twice where we look at it (two readers could disagree on
// which one counts). Thread-local scanner: one per shard thread.
std::variant<request_facts, body_problem> read_request_body(const std::string& body);

// The pieces of `body` with the edits applied, for a gathered write: views into `body` and into the
// edits, both of which must outlive them. `edits` sorted by offset, at most two; what is not needed
// of the five pieces stays empty.
using body_pieces = std::array<std::string_view, 5>;
body_pieces apply_edits(std::string_view body, const std::vector<body_edit>& edits);

}  // namespace signalbox::http
