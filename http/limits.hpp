// What a key's limits look like from outside: the 429, and the x-ratelimit-* headers (OpenAI's
// names).
#pragma once

#include "http/authentication.hpp"
#include "http/error.hpp"
#include "http/reply.hpp"

namespace signalbox::http {

// None when the key has no limit by the minute.
extra_headers limit_headers(const principal& who, time_point now);

struct limit_refusal {
  std::string message;
  extra_headers headers;  // Retry-After too
};
limit_refusal refusal_of(const principal& who, const scheduling::limit_exceeded& exceeded,
                         time_point now);

}  // namespace signalbox::http
