#include "http/serve/cors.hpp"

#include <algorithm>
#include <utility>

#include "http/serve/field_text.hpp"

namespace signalbox::http {

namespace {

constexpr std::size_t max_request_headers_bytes = 2048;  // of Access-Control-Request-Headers

std::string_view field_of(const restinio::http_request_header_t& request, const char* name) {
  const auto value = request.opt_value_of(name);
  return value ? std::string_view(value->data(), value->size()) : std::string_view();
}

// Recognizes a list of field names that is safe to send back.
bool is_name_list(std::string_view text) {
  if (text.size() > max_request_headers_bytes) return false;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    auto name = text.substr(begin, end - begin);
    while (name.starts_with(' ')) name.remove_prefix(1);
    if (!is_token(name)) return false;
    begin = end + 1;
  }
  return true;
}

}  // namespace

bool cors_policy::allows(std::string_view origin) const {
  const auto& allowed = options_.allowed_origins;
  return std::any_of(allowed.begin(), allowed.end(),
                     [&](const auto& one) { return one == "*" || one == origin; });
}

void cors_policy::add_headers(const restinio::http_request_header_t& request,
                              extra_headers& out) const {
  if (options_.allowed_origins.empty()) return;
  const auto origin = field_of(request, "Origin");
  if (allows("*")) {
    out.emplace_back("Access-Control-Allow-Origin", "*");
  } else {
    out.emplace_back("Vary", "Origin");  // caches must keep answers of different origins apart
    if (!allows(origin)) return;
    out.emplace_back("Access-Control-Allow-Origin", std::string(origin));
  }
  out.emplace_back("Access-Control-Expose-Headers", "*");
}

bool cors_policy::may_connect(const restinio::http_request_header_t& request) const {
  const auto origin = field_of(request, "Origin"), host = field_of(request, "Host");
  const bool is_from_us =
      origin == "http://" + std::string(host) || origin == "https://" + std::string(host);
  return origin.empty() || is_from_us || allows(origin);
}

std::optional<extra_headers> cors_policy::answer_preflight(
    const restinio::http_request_header_t& request, std::string methods) const {
  const auto origin = field_of(request, "Origin");
  if (methods.empty() || origin.empty() || !allows(origin) ||
      field_of(request, "Access-Control-Request-Method").empty()) {
    return std::nullopt;
  }
  extra_headers headers{
      {"Access-Control-Allow-Methods", std::move(methods)},
      {"Access-Control-Max-Age", std::to_string(options_.max_age_s)},
  };
  // Clients send fields of their own (X-Stainless-…), and * would leave out Authorization.
  if (const auto names = field_of(request, "Access-Control-Request-Headers"); is_name_list(names)) {
    headers.emplace_back("Access-Control-Allow-Headers", std::string(names));
  }
  return headers;
}

}  // namespace signalbox::http
