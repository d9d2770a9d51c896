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

struct token_usage {
  std::uint64_t prompt = 0;
  std::uint64_t completion = 0;
};

struct chunk_facts {
  std::optional<token_usage> usage;
  bool has_choices = false;    // `choices` is there and not empty
  bool is_usage_only = false;  // usage, and `choices` is there and empty
};

// The `usage` object of a JSON answer; nothing when there is none or the body is no JSON.
std::optional<token_usage> read_usage(const std::string& body);

// One `data:` payload of a stream.
chunk_facts read_chunk(std::string_view payload);

}  // namespace signalbox::http
