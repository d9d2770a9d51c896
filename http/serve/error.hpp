// Every error that a client can get, with its status and words; the one place that writes them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "scheduling/types.hpp"

namespace signalbox::http {

enum class error_code : std::uint8_t {
  invalid_json,            // 400 the body is no JSON object, or a field has the wrong type
  invalid_header,          // 400 a header of ours has a value that is not allowed
  invalid_value,           // 400 a field or a query parameter has one
  bad_request,             // 400 framing or request line that we refuse to interpret
  missing_credential,      // 401
  invalid_credential,      // 401
  missing_scope,           // 403
  model_not_allowed,       // 403 the key has a list of models, and this is not on it
  model_not_found,         // 404
  not_found,               // 404 no such route or object
  method_not_allowed,      // 405
  conflict,                // 409
  body_too_large,          // 413
  unsupported_media_type,  // 415
  rate_limited,            // 429
  header_too_large,        // 431
  internal,                // 500
  upstream_failed,         // 502 the runtime closed, or answered what is not HTTP
  upstream_too_large,      // 502 its answer is over our limit
  queue_full,              // 503
  queue_timeout,           // 503 waited as long as it was willing to
  model_failed,            // 503
  model_does_not_fit,      // 503
  shutting_down,           // 503
  database_unavailable,    // 503
  upstream_timeout,        // 504
};

struct error_words {
  int status;
  std::string_view reason;  // the status line's
  std::string_view type;    // OpenAI's error type
  std::string_view code;    // ours, and OpenAI's where it has one
};
const error_words& words(error_code code);
error_code code_of(refusal why);

// The reason phrase of any status (RFC 9110), "Unknown" for one that we do not know.
std::string_view reason_phrase(int status);

// OpenAI's envelope below /v1/, {"detail": …} everywhere else.
std::string error_body(error_code code, std::string_view message, std::string_view param,
                       bool openai_envelope);

}  // namespace signalbox::http
