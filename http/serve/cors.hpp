// CORS (Fetch standard, 3.2): decides which other origins' pages may read our answers. We use no
// cookies, so credentials mode is never offered.
#pragma once

#include <optional>
#include <restinio/http_headers.hpp>
#include <string>
#include <string_view>

#include "config/settings.hpp"
#include "http/serve/reply.hpp"

namespace signalbox::http {

class cors_policy {
 public:
  // `options` must outlive the object. Thread-safe.
  explicit cors_policy(const config::cors_options& options) : options_(options) {}

  // Adds the fields that let the page that sent `request` read the answer; none when its origin may
  // not.
  void add_headers(const restinio::http_request_header_t& request, extra_headers& out) const;

  // Returns whether the page that sent `request`, if any did, may reach a runtime past our own
  // routes, where no preflight is sure to come first: one of ours or of an allowed origin.
  bool may_connect(const restinio::http_request_header_t& request) const;

  // Returns the fields that answer a preflight for a path with these methods ("GET, POST"); none
  // when `request` is not a preflight or its origin is not allowed.
  std::optional<extra_headers> answer_preflight(const restinio::http_request_header_t& request,
                                                std::string methods) const;

 private:
  bool allows(std::string_view origin) const;

  const config::cors_options& options_;
};

}  // namespace signalbox::http
