#include "http/serve/identity.hpp"

#include <chrono>

#include "http/serve/gateway_state.hpp"
#include "http/serve/request_headers.hpp"
#include "http/serve/shard.hpp"

namespace signalbox::http {

credential credential_of(const request_headers& headers) {
  const auto bearer = bearer_token(headers.authorization);
  if (!bearer.empty()) return {bearer, true};
  return {!headers.api_key.empty() ? headers.api_key : headers.admin_token, false};
}

identity identify(shard& home, const credential& shown) {
  auto& gateway = home.gateway();
  if (shown.text.empty()) return {gateway.anonymous(), {}};
  const auto now = std::chrono::system_clock::now();
  bearer_reading reading;
  reading.who = gateway.keys().table()->find(shown.text);
  if (!reading.who && shown.is_bearer) {
    reading = home.tokens().find(shown.text, gateway.tokens(), *gateway.keys().users(), now);
  } else if (reading.who && reading.who->expires_at <= now) {
    reading = {nullptr, true};
  }
  return {reading.who, reading.expired ? "The API key or the token has expired."
                                       : "The API key or the token is not valid."};
}

}  // namespace signalbox::http
