// What a key's limits look like from outside: the 429, and the x-ratelimit-* headers (OpenAI's
// names).
#pragma once

#include "access/authentication.hpp"
#include "http/serve/error.hpp"
#include "http/serve/reply.hpp"

namespace signalbox::http {

// Appends the fields as lines, each with a CRLF before it, to the value of another; none when the
// key has no limit by the minute.
void append_limit_fields(const principal& who, time_point now, std::string& lines);

struct limit_refusal {
  std::string message;
  extra_headers headers;  // Retry-After; every answer to the key has the others
};
limit_refusal refusal_of(const principal& who, const scheduling::limit_exceeded& exceeded);

}  // namespace signalbox::http
