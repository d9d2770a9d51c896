// What we read of a request's header fields, in one pass, and which of them go on to a runtime.
#pragma once

#include <optional>
#include <restinio/http_headers.hpp>
#include <string>
#include <string_view>

#include "http/serve/error.hpp"

namespace signalbox::http {

struct request_headers {
  std::string_view authorization, api_key, admin_token, content_type, priority_word, max_wait,
      request_id, client_id;
  // The fields for the runtime, as lines ending in CRLF: all but hop-by-hop and framing fields
  // (RFC 9110 7.6.1), credentials, and what is meant for us.
  std::string forwarded;
};

struct header_problem {
  error_code code;
  std::string message;
};

struct header_limits {
  std::size_t field_bytes;
  std::size_t count;
};

// Fills `out` with views into `header`. Refuses what the parser lets through although two readers
// could disagree on it: none or two Host fields, a Transfer-Encoding other than `chunked`, a second
// Authorization, X-API-Key, X-Admin-Token or Content-Type, control characters in a value. (The
// parser has unfolded folded values before we see them.)
std::optional<header_problem> read_headers(const restinio::http_request_header_t& header,
                                           const header_limits& limits, bool forward,
                                           request_headers& out);

// An answer's field that may go on to the client: not hop-by-hop, not framing, not ours to say
// (which is also what pages of other origins may do).
bool is_forwarded_to_client(std::string_view name);

// Can it be the name of a field? (RFC 9110 5.6.2)
bool is_token(std::string_view name);

bool equals_ignoring_case(std::string_view a, std::string_view b);

// X-Client-ID: 1 to 128 of [A-Za-z0-9._:@/+-].
bool is_sane_client_id(std::string_view id);

// A client's own request id is taken over when it is 1 to 128 of [A-Za-z0-9._-].
bool is_sane_request_id(std::string_view id);

}  // namespace signalbox::http
