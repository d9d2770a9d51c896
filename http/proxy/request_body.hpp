// Reads the facts that the proxy needs from the JSON body of an inference request, with a
// validating on-demand scanner (simdjson), and edits the body. All other bytes go on as they came.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "http/serve/dialect.hpp"
#include "http/serve/error.hpp"
#include "scheduling/types.hpp"

namespace signalbox::http {

// A replacement or insertion in a body.
struct body_edit {
  std::size_t offset = 0;  // in the original body
  std::size_t length = 0;  // bytes replaced; 0: inserted
  std::string text;
};

// The facts of a valid body.
struct request_facts {
  std::string model;
  bool stream = false;
  bool usage_wanted = false;     // the client asked for stream_options.include_usage
  bool asks_several = false;     // for several answers: by `n`, or by several prompts
  std::size_t model_offset = 0;  // offset and length of the raw value, with its quotes
  std::size_t model_length = 0;
  bool model_is_json = true;          // its raw value; false: it is plain text, in a form
  std::size_t text_bytes = 0;         // of the body, without the files of a form
  std::vector<body_edit> usage_edit;  // at most one: makes the runtime send usage in a stream
  // Of Ollama's dialect only.
  std::optional<duration> keep_alive;  // as in model_lifecycle::keep_loaded; at most a year
  bool has_prompt = false;             // a prompt, or messages, that are not empty
};

// The reason why a body is refused, as the client gets it.
struct body_problem {
  std::string message;
  std::string param;  // the field at fault, or empty
  error_code code = error_code::invalid_value;
};

inline constexpr std::size_t max_model_bytes = 200;  // of the name in a request

// Refuses a body that is not JSON (invalid_json); that is no object, or nests too deep; a `model`
// that is missing, not a string or over 200 bytes; a `stream` that is not boolean; a
// `stream_options` that is not an object, is over 4 KiB or has an `include_usage` that is not
// boolean; and any of these keys twice, because two readers could disagree on which one counts.
// What comes first in the body is told. Only OpenAI's dialect has
// `stream_options`; in others it is not read, and there is no usage_edit. Only Ollama's has
// `keep_alive`, which must be a number of seconds, also in a string, or a duration as Go writes it.
// `streams`: when the body does not say. `room`: how many bytes behind the body may be read as
// well. Without `needs_model` the body may have no `model`. The scanner is thread-local, so each
// shard has one.
std::variant<request_facts, body_problem> read_request_body(std::string_view body,
                                                            dialect spoken = dialect::openai,
                                                            bool streams = false,
                                                            std::size_t room = 0,
                                                            bool needs_model = true);

// Returns the edited body as pieces for a gathered write. They view into `body` and `edits`, which
// must outlive them. There may be two edits at most, sorted by offset. Pieces that are not needed
// are empty.
using body_pieces = std::array<std::string_view, 5>;
body_pieces apply_edits(std::string_view body, const std::vector<body_edit>& edits);

}  // namespace signalbox::http
