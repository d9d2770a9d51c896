// Pages of which other origins may read our answers (the CORS protocol of the Fetch standard, 3.2).
// We take no cookies, so that credentials mode is never offered.
#pragma once

#include <optional>
#include <restinio/request_handler.hpp>
#include <string>
#include <string_view>

#include "config/settings.hpp"
#include "http/serve/reply.hpp"

namespace signalbox::http {

class cors_policy {
 public:
  // `options` must outlive it. Thread-safe.
  explicit cors_policy(const config::cors_options& options) : options_(options) {}

  // What the answer to `client` needs for its page to read it; nothing when it may not.
  void add_headers(const restinio::request_handle_t& client, extra_headers& out) const;

  // The fields that answer a preflight for a path with these methods ("GET, POST"); none when
  // `client` is no preflight, or its origin may not call.
  std::optional<extra_headers> answer_preflight(const restinio::request_handle_t& client,
                                                std::string methods) const;

 private:
  bool allows(std::string_view origin) const;

  const config::cors_options& options_;
};

}  // namespace signalbox::http
