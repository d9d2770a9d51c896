#include "http/reply.hpp"

namespace signalbox::http {

void answer(const restinio::request_handle_t& request, int status, std::string_view content_type,
            std::string body, extra_headers headers) {
  auto response = request->create_response(
      restinio::http_status_line_t{restinio::http_status_code_t{static_cast<std::uint16_t>(status)},
                                   std::string(reason_phrase(status))});
  if (!content_type.empty()) {
    response.append_header(restinio::http_field_t::content_type, std::string(content_type));
  }
  for (auto& [name, value] : headers) response.append_header(std::move(name), std::move(value));
  if (!request->header().should_keep_alive()) response.connection_close();
  response.set_body(std::move(body)).done();
}

void answer_error(const restinio::request_handle_t& request, error_code code,
                  std::string_view message, std::string_view param, extra_headers headers) {
  const int status = words(code).status;
  if (status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  answer(request, status, "application/json",
         error_body(code, message, param, is_openai_path(path_of(request))), std::move(headers));
}

bool is_openai_path(std::string_view path) {
  return path.starts_with("/v1/") || path == "/v1";
}

std::string_view path_of(const restinio::request_handle_t& request) {
  const auto path = request->header().path();
  return {path.data(), path.size()};
}

}  // namespace signalbox::http
