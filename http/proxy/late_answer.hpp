// What a client is told of an answer that is no stream, when its own stream has begun already:
// while the client waited it got comments, and with them the status 200. OpenAI's clients take a
// stream for failed only by an event with `error`; all else they read as chunks.
#pragma once

#include <string>

#include "http/serve/dialect.hpp"

namespace signalbox::http {

struct late_answer {
  std::string events;  // the rest of the client's stream
  int status = 200;    // how the request is counted: of the error that the events tell, or 200
};

// Turns a whole answer into events: one of OpenAI's JSON of up to 512 KiB into the chunks that it
// would have been in a stream, anything else into an error. `wants_usage` as in request_facts.
late_answer to_late_answer(dialect spoken, int status, const std::string& text, bool wants_usage);

// Returns the event that tells an error in a stream; `body` as from error_body().
std::string error_event(dialect spoken, const std::string& body);

// Returns whether an answer has the shape of an error in the dialect. None over 512 KiB has.
bool is_error_of(dialect spoken, const std::string& text);

}  // namespace signalbox::http
