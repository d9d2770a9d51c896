// A reading of HTTP/1.1 messages that shares nothing with ours: as plain and as strict as RFC 9112,
// for whole messages in memory. It is here to be compared with.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace signalbox::fuzz {

using plain_fields = std::vector<std::pair<std::string, std::string>>;  // names in lower case

struct plain_message {
  std::string method, target;  // of a request
  int status = 0;              // of a response
  plain_fields fields;
  std::string body;
  std::size_t head_end = 0, end = 0;  // in the text
  bool ends_with_text = false;        // a response without a length
  bool has_sound_trailers = true;     // that look like fields, and do not tell of the body
};

// Reads the request that begins at `from`, behind empty lines. Nothing: none is whole there, or two
// readers may disagree about where it ends.
std::optional<plain_message> read_plain_request(std::string_view text, std::size_t from);

// Reads an answer, behind interim ones. Nothing: the text does not begin with one that is whole, or
// it is not well-formed.
std::optional<plain_message> read_plain_answer(std::string_view text, bool to_head_request);

// Returns a name in lower case and a value without blanks around it.
plain_fields::value_type plain_field(std::string_view name, std::string_view value);

}  // namespace signalbox::fuzz
