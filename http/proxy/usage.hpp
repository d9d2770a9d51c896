// Token counts as runtimes report them, in a body or in a chunk of a stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace signalbox::http {

// About this many bytes of JSON make a token: for estimates, where no usage is known.
inline constexpr std::size_t json_bytes_of_token = 4;

// Tokens of one request.
struct token_usage {
  std::uint64_t prompt = 0;
  std::uint64_t completion = 0;
};

// The facts of one chunk of a stream.
struct chunk_facts {
  std::optional<token_usage> usage;
  bool has_choices = false;    // `choices` is present and not empty
  bool is_usage_only = false;  // has usage, and `choices` is present and empty
};

// Reads the `usage` object of a JSON answer; nothing if it has none or is not JSON.
std::optional<token_usage> read_usage(const std::string& body);

// Reads one `data:` payload of a stream.
chunk_facts read_chunk(std::string_view payload);

}  // namespace signalbox::http
