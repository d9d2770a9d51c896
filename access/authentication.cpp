#include "access/authentication.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace signalbox {

namespace {

constexpr std::array<std::string_view, 8> scope_names{"none",   "realtime", "batch", "eval",
                                                      "upload", "monitor",  "admin", "any"};

std::uint32_t bit(scope value) {
  return 1U << static_cast<unsigned>(value);
}

template <std::size_t Size>
void fill_randomly(std::array<unsigned char, Size>& bytes) {
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialized");
  randombytes_buf(bytes.data(), bytes.size());
}

}  // namespace

std::string_view to_string(scope value) {
  return scope_names[static_cast<std::size_t>(value)];
}

std::optional<scope> parse_scope(std::string_view name) {
  for (std::size_t i = 1; i < static_cast<std::size_t>(scope::any); ++i) {
    if (scope_names[i] == name) return static_cast<scope>(i);
  }
  return std::nullopt;
}

bool principal::may(scope needed) const {
  if (needed == scope::any) return scopes != 0;
  return needed == scope::none || (scopes & (bit(needed) | bit(scope::admin))) != 0;
}

bool principal::may_use(const config::model_options& model) const {
  return models.empty() || std::any_of(models.begin(), models.end(), [&](const std::string& name) {
           return name == model.name || std::find(model.aliases.begin(), model.aliases.end(),
                                                  name) != model.aliases.end();
         });
}

secret_digest digest_of(std::string_view token) {
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialized");
  secret_digest out;
  crypto_generichash(out.data(), out.size(), reinterpret_cast<const unsigned char*>(token.data()),
                     token.size(), nullptr, 0);
  return out;
}

std::string make_id(std::string_view prefix) {
  std::array<unsigned char, 8> bytes;
  fill_randomly(bytes);
  std::array<char, 2 * bytes.size() + 1> text;
  return std::string(prefix) + sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
}

std::string make_key_id() {
  return make_id("key_");
}

std::string make_token() {
  std::array<unsigned char, 24> bytes;
  fill_randomly(bytes);
  constexpr int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string text(sodium_base64_encoded_len(bytes.size(), variant), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), variant);
  text.resize(std::strlen(text.c_str()));
  return "sbk_" + text;
}

// The hint shows 32 bits of the token, which leaves 160 to guess.
std::string hint_of(const std::string& token) {
  constexpr std::size_t told = 9;
  return token.size() < 3 * told ? std::string() : token.substr(0, told);
}

void key_table::add(const secret_digest& digest, principal_ptr who) {
  principals_.emplace(digest, std::move(who));
}

principal_ptr key_table::find(std::string_view token) const {
  const auto found = principals_.find(digest_of(token));
  return found == principals_.end() ? nullptr : found->second;
}

std::size_t digest_hash::operator()(const secret_digest& digest) const {
  std::size_t value;
  std::memcpy(&value, digest.data(), sizeof value);
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

}  // namespace signalbox
