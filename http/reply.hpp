// Answers that are whole at once. They are posted to the loop, never given inside a handler:
// RESTinio fails when a client pipelines and is answered synchronously.
#pragma once

#include <restinio/request_handler.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/error.hpp"

namespace signalbox::http {

using extra_headers = std::vector<std::pair<std::string, std::string>>;

// Sends now; for callers that are not inside a request handler.
void answer(const restinio::request_handle_t& request, int status, std::string_view content_type,
            std::string body, extra_headers headers = {});

// {"error": …} or {"detail": …}, by the request's path; adds WWW-Authenticate to a 401.
void answer_error(const restinio::request_handle_t& request, error_code code,
                  std::string_view message, std::string_view param = {},
                  extra_headers headers = {});

// Is it under /v1/, where errors have OpenAI's envelope?
bool is_openai_path(std::string_view path);

std::string_view path_of(const restinio::request_handle_t& request);

}  // namespace signalbox::http
