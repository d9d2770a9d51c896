// Reads the facts that the proxy needs from an inference request that is a form with files
// (multipart/form-data), with RESTinio's parser of multipart bodies.
#pragma once

#include <string_view>
#include <variant>

#include "http/proxy/request_body.hpp"

namespace signalbox::http {

// The fields `model` and `stream` may stand anywhere, also behind a file. Refuses a form without a
// `model`, or with one of over 200 bytes; one of these fields twice or as a file; a form of more
// than 100 fields; and what is no form that all readers read alike. Without `needs_model` the form
// may have none.
std::variant<request_facts, body_problem> read_form_body(std::string_view body,
                                                         std::string_view content_type,
                                                         bool needs_model = true);

}  // namespace signalbox::http
