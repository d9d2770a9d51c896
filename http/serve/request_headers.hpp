// Reads the header fields of a request in one pass, and selects those that go on to a runtime.
#pragma once

#include <optional>
#include <restinio/http_headers.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "http/serve/error.hpp"

namespace signalbox::http {

// The header fields that the gateway itself reads, and those for the runtime.
struct request_headers {
  std::string_view authorization, api_key, admin_token, content_type, content_encoding,
      priority_word, max_wait, request_id, client_id, host, expect,
      upgrade;                                  // to which protocol; it counts when `wants_upgrade`
  std::vector<std::string_view> forwarded_for;  // the values of all X-Forwarded-For fields
  bool wants_upgrade = false;                   // one of the options of Connection
  bool wants_close = false;  // one of the options of Connection, where the parser may not see it
  // The fields for the runtime, as lines that end in CRLF: all except hop-by-hop and framing fields
  // (RFC 9110 7.6.1), credentials, fields meant for us, and what proxies tell of the client, which
  // the runtime would take for the truth.
  std::string forwarded;
};

struct header_problem {
  error_code code;
  std::string message;
};

struct header_limits {
  std::size_t field_bytes;
  std::size_t count;
  bool is_host_required = true;  // not by HTTP/1.0
};

// Fills `out` with views into `header`. Refuses what the parser accepts although two readers may
// disagree on it: no or two Host fields or one that names no host, a Transfer-Encoding other than
// `chunked`, a second Authorization, X-API-Key, X-Admin-Token, Content-Type or Content-Encoding,
// control characters in a value. (The parser has already unfolded folded values.)
std::optional<header_problem> read_headers(const restinio::http_request_header_t& header,
                                           const header_limits& limits, bool forward,
                                           request_headers& out);

// Returns the fields of `forwarded`, and Content-Encoding as well: for a body that goes on as it
// came. The header must have been read without a problem.
std::string fields_with_coding(const restinio::http_request_header_t& header);

// Returns whether a field of an answer goes on to the client: not hop-by-hop or framing fields, nor
// fields that only we set (such as those of CORS, of limits, or about our host as a whole).
bool is_forwarded_to_client(std::string_view name);

// Returns whether an X-Client-ID is valid: 1 to 128 of [A-Za-z0-9._:@/+-].
bool is_sane_client_id(std::string_view id);

// Returns whether the request id of a client is accepted: 1 to 128 of [A-Za-z0-9._-].
bool is_sane_request_id(std::string_view id);

}  // namespace signalbox::http
