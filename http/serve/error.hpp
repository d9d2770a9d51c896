// All errors that a client can get, with status, type and code; each message is worded where its
// error occurs. The error bodies are written here only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/serve/dialect.hpp"
#include "scheduling/types.hpp"

namespace signalbox::http {

enum class error_code : std::uint8_t {
  invalid_json,            // 400 the body is not JSON
  invalid_header,          // 400 a header that we define has a value that is not allowed
  invalid_value,           // 400 a body, field or query parameter is not as it must be
  missing_parameter,       // 400 a field or query parameter is not there, and must be
  bad_request,             // 400 framing or a request line that we refuse to interpret
  missing_credential,      // 401
  invalid_credential,      // 401
  missing_scope,           // 403
  model_not_allowed,       // 403 the key has a list of models without this one
  origin_not_allowed,      // 403 a page of another origin
  model_not_found,         // 404
  not_found,               // 404 no such route or object
  method_not_allowed,      // 405
  request_timeout,         // 408 the request did not arrive in time
  conflict,                // 409
  stale_token,             // 409 not the lease's token, or the lease is over
  length_required,         // 411
  invalid_configuration,   // 422 the configuration file has mistakes
  body_too_large,          // 413
  uri_too_long,            // 414
  unsupported_media_type,  // 415
  expectation_failed,      // 417 an Expect other than 100-continue
  misdirected_request,     // 421 an absolute target of another host
  rate_limited,            // 429
  too_many_leases,         // 429 in all, or of the key
  header_too_large,        // 431
  internal,                // 500
  upstream_failed,         // 502 the runtime closed the connection, or its answer is not HTTP
  upstream_too_large,      // 502 the answer of the runtime is over our limit
  queue_full,              // 503
  queue_timeout,           // 503 the request waited as long as it may
  model_failed,            // 503
  model_does_not_fit,      // 503
  shutting_down,           // 503
  drained,                 // 503 an operator said that no new requests are taken
  database_unavailable,    // 503
  overloaded,              // 503 the memory for request bodies is used up
  upstream_timeout,        // 504
  unsupported_version,     // 505 neither HTTP/1.1 nor HTTP/1.0
};

// How an error is told to a client of OpenAI's API.
struct error_words {
  int status;
  std::string_view reason;  // of the status line
  std::string_view type;    // OpenAI's error type
  std::string_view code;    // OpenAI's code where it has one, else ours
};
const error_words& words(error_code code);
error_code code_of(refusal why);

// Returns the reason phrase of a status (RFC 9110, or another one that IANA lists); "Unknown" of
// one that has none.
std::string_view reason_phrase(int status);

// Writes an error as clients of the dialect expect it.
std::string error_body(error_code code, std::string_view message, std::string_view param,
                       dialect spoken);

}  // namespace signalbox::http
