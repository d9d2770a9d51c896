// The limits of a key as clients see them: the 429 and the x-ratelimit-* headers (OpenAI's names).
#pragma once

#include "access/authentication.hpp"
#include "http/serve/error.hpp"
#include "http/serve/reply.hpp"

namespace signalbox::http {

// Appends the fields to the value of another field, each as a line with a CRLF before it. Appends
// nothing when the key has no limit by the minute.
void append_limit_fields(const principal& who, time_point now, std::string& lines);

struct limit_refusal {
  std::string message;
  extra_headers headers;  // Retry-After; the other fields are in every answer to the key
};
limit_refusal refusal_of(const principal& who, const scheduling::limit_exceeded& exceeded);

}  // namespace signalbox::http
