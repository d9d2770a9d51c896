// Decodes the bodies of requests that come compressed (RFC 9110 8.4), as their bytes arrive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace signalbox::http {

enum class content_coding : std::uint8_t { identity, gzip, zstd };

// The codings that we accept, as Accept-Encoding lists them.
inline constexpr std::string_view accepted_codings = "gzip, zstd";

// Returns the coding that a Content-Encoding names, identity when there is none; nothing when it is
// not one of ours, or several.
std::optional<content_coding> coding_of(std::string_view content_encoding);

// Reads one body, which may be several members of gzip or frames of zstd.
class body_decoder {
 public:
  // Gets what was decoded in pieces of at most 16 KiB; returns false to end the work.
  using taker = std::function<bool(std::string_view)>;

  virtual ~body_decoder() = default;

  // More bytes of the body. Returns false, and must not be called again, when they are malformed or
  // need a window of zstd over 8 MiB (RFC 9659).
  virtual bool feed(std::string_view bytes, const taker& take) = 0;
  // Returns whether the body may end here.
  virtual bool is_complete() const = 0;
  // Returns the memory that it has now, in bytes.
  virtual std::size_t memory() const = 0;
};

// Returns null for identity.
std::unique_ptr<body_decoder> make_decoder(content_coding coding);

}  // namespace signalbox::http
