#include "http/serve/error.hpp"

#include <http_parser.h>

#include <nlohmann/json.hpp>

namespace signalbox::http {

namespace {

// Anthropic's error types go by the status.
std::string_view anthropic_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

}  // namespace

const error_words& words(error_code code) {
  static constexpr std::string_view invalid = "invalid_request_error", server = "server_error";
  static constexpr error_words table[] = {
      {400, "Bad Request", invalid, "invalid_json"},
      {400, "Bad Request", invalid, "invalid_header"},
      {400, "Bad Request", invalid, "invalid_value"},
      {400, "Bad Request", invalid, "missing_required_parameter"},
      {400, "Bad Request", invalid, "bad_request"},
      {401, "Unauthorized", invalid, "missing_api_key"},
      {401, "Unauthorized", invalid, "invalid_api_key"},
      {403, "Forbidden", "permission_error", "insufficient_scope"},
      {403, "Forbidden", "permission_error", "model_not_allowed"},
      {403, "Forbidden", "permission_error", "origin_not_allowed"},
      {404, "Not Found", invalid, "model_not_found"},
      {404, "Not Found", invalid, "not_found"},
      {405, "Method Not Allowed", invalid, "method_not_allowed"},
      {408, "Request Timeout", invalid, "request_timeout"},
      {409, "Conflict", invalid, "conflict"},
      {409, "Conflict", invalid, "stale_token"},
      {411, "Length Required", invalid, "length_required"},
      {422, "Unprocessable Content", invalid, "invalid_configuration"},
      {413, "Content Too Large", invalid, "body_too_large"},
      {414, "URI Too Long", invalid, "uri_too_long"},
      {415, "Unsupported Media Type", invalid, "unsupported_media_type"},
      {417, "Expectation Failed", invalid, "expectation_failed"},
      {421, "Misdirected Request", invalid, "misdirected_request"},
      {429, "Too Many Requests", "rate_limit_error", "rate_limit_exceeded"},
      {429, "Too Many Requests", "rate_limit_error", "too_many_leases"},
      {431, "Request Header Fields Too Large", invalid, "header_too_large"},
      {500, "Internal Server Error", server, "internal_error"},
      {502, "Bad Gateway", server, "upstream_failed"},
      {502, "Bad Gateway", server, "upstream_response_too_large"},
      {503, "Service Unavailable", server, "queue_full"},
      {503, "Service Unavailable", server, "queue_timeout"},
      {503, "Service Unavailable", server, "model_failed"},
      {503, "Service Unavailable", server, "model_does_not_fit"},
      {503, "Service Unavailable", server, "shutting_down"},
      {503, "Service Unavailable", server, "drained"},
      {503, "Service Unavailable", server, "database_unavailable"},
      {503, "Service Unavailable", server, "overloaded"},
      {504, "Gateway Timeout", server, "upstream_timeout"},
      {505, "HTTP Version Not Supported", invalid, "unsupported_version"},
  };
  return table[static_cast<std::size_t>(code)];
}

error_code code_of(refusal why) {
  switch (why) {
    case refusal::queue_full:
      return error_code::queue_full;
    case refusal::deadline_passed:
      return error_code::queue_timeout;
    case refusal::model_failed:
      return error_code::model_failed;
    case refusal::does_not_fit:
      return error_code::model_does_not_fit;
    case refusal::shutting_down:
      return error_code::shutting_down;
    case refusal::model_removed:
      return error_code::model_not_found;
  }
  return error_code::internal;
}

std::string_view reason_phrase(int status) {
  constexpr std::string_view unknown = "Unknown";
  switch (status) {
    case 413:
      return "Content Too Large";
    case 422:
      return "Unprocessable Content";
    case 425:
      return "Too Early";
    default:
      break;
  }
  // The others have the same names in RFC 7231, which the library knows. Its enum ends there.
  if (status < HTTP_STATUS_CONTINUE || status > HTTP_STATUS_NETWORK_AUTHENTICATION_REQUIRED) {
    return unknown;
  }
  const std::string_view phrase = http_status_str(static_cast<http_status>(status));
  return phrase.starts_with('<') ? unknown : phrase;
}

std::string error_body(error_code code, std::string_view message, std::string_view param,
                       dialect spoken) {
  const auto& w = words(code);
  nlohmann::json body;
  switch (spoken) {
    case dialect::none:
      body["detail"] = message;
      break;
    case dialect::anthropic:
      body = {{"type", "error"},
              {"error", {{"type", anthropic_type(w.status)}, {"message", message}}}};
      break;
    case dialect::ollama:
      body["error"] = message;
      break;
    default:
      body["error"] = {
          {"message", message}, {"type", w.type}, {"param", nullptr}, {"code", w.code}};
      if (!param.empty()) body["error"]["param"] = param;
  }
  // The message may quote the client: invalid UTF-8 in it must not throw.
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace signalbox::http
