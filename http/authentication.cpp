#include "http/authentication.hpp"

#include <sodium.h>

#include <cstring>
#include <stdexcept>

namespace signalbox::http {

namespace {

constexpr std::array<std::string_view, 7> scope_names{"none",   "realtime", "batch", "eval",
                                                      "upload", "monitor",  "admin"};

std::uint32_t bit(scope value) {
  return 1U << static_cast<unsigned>(value);
}

scope parse_scope(std::string_view name) {
  for (std::size_t i = 1; i < scope_names.size(); ++i) {
    if (scope_names[i] == name) return static_cast<scope>(i);
  }
  throw std::invalid_argument("unknown scope");  // config::validate() lets none through
}

}  // namespace

std::string_view to_string(scope value) {
  return scope_names[static_cast<std::size_t>(value)];
}

bool principal::may(scope needed) const {
  return needed == scope::none || (scopes & (bit(needed) | bit(scope::admin))) != 0;
}

token_digest digest_of(std::string_view token) {
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialized");
  token_digest out;
  crypto_generichash(out.data(), out.size(), reinterpret_cast<const unsigned char*>(token.data()),
                     token.size(), nullptr, 0);
  return out;
}

key_table::key_table(const std::vector<key_entry>& keys) {
  std::uint32_t number = 0;
  for (const auto& key : keys) {
    auto who = std::make_shared<principal>();
    who->key_id = key.id;
    who->number = ++number;
    for (const auto& name : key.scopes) who->scopes |= bit(parse_scope(name));
    principals_.emplace(key.digest, std::move(who));
  }
}

principal_ptr key_table::find(std::string_view token) const {
  const auto found = principals_.find(digest_of(token));
  return found == principals_.end() ? nullptr : found->second;
}

std::size_t key_table::first_bytes::operator()(const token_digest& d) const {
  std::size_t value;
  std::memcpy(&value, d.data(), sizeof value);
  return value;
}

std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view scheme = "bearer ";
  if (authorization.size() <= scheme.size()) return {};
  for (std::size_t i = 0; i < scheme.size(); ++i) {
    const char c = authorization[i];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower != scheme[i]) return {};
  }
  authorization.remove_prefix(scheme.size());
  while (!authorization.empty() && authorization.front() == ' ') authorization.remove_prefix(1);
  return authorization;
}

}  // namespace signalbox::http
