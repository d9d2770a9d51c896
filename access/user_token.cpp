#include "access/user_token.hpp"

#include <jwt.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "system/private_file.hpp"

namespace signalbox {

namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr std::size_t max_token_bytes = 4096, min_secret_bytes = 32;
constexpr auto clock_skew = 60s;  // allowed between the signer's clock and ours

struct jwt_deleter {
  void operator()(jwt_t* token) const { jwt_free(token); }
};
using jwt_ptr = std::unique_ptr<jwt_t, jwt_deleter>;

struct text_deleter {
  void operator()(char* text) const { std::free(text); }  // NOLINT: the library's malloc
};
using text_ptr = std::unique_ptr<char, text_deleter>;

const unsigned char* bytes_of(const std::string& secret) {
  return reinterpret_cast<const unsigned char*>(secret.data());
}

std::string random_text() {
  std::array<unsigned char, 32> bytes;
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialized");
  randombytes_buf(bytes.data(), bytes.size());
  std::array<char, 2 * bytes.size() + 1> text;
  return sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
}

std::int64_t seconds_of(wall_time at) {
  return std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
}

// Only three parts of base64url are passed on to the library.
bool has_shape(std::string_view token) {
  return token.size() <= max_token_bytes && std::count(token.begin(), token.end(), '.') == 2 &&
         std::all_of(token.begin(), token.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

// Returns null unless we signed the token: the algorithm is always ours, whatever the token claims.
jwt_ptr decode(const std::string& token, const std::string& secret) {
  jwt_t* decoded = nullptr;
  if (jwt_decode(&decoded, token.c_str(), bytes_of(secret), static_cast<int>(secret.size())) != 0) {
    return nullptr;
  }
  jwt_ptr owned(decoded);
  return jwt_get_alg(decoded) == JWT_ALG_HS256 ? std::move(owned) : nullptr;
}

// Reads a time in whole seconds, limited to a range in which no arithmetic overflows.
std::optional<std::int64_t> time_claim(const json& claims, const char* name) {
  const auto found = claims.find(name);
  constexpr std::int64_t last = 253402300799;  // the year 9999
  if (found == claims.end() || !found->is_number_integer() || *found < 0 || *found > last) {
    return std::nullopt;
  }
  return found->get<std::int64_t>();
}

bool is_text(const json& claims, const char* name) {
  return claims.contains(name) && claims[name].is_string();
}

bool are_texts(const json& claims, const char* name) {
  return claims.contains(name) && claims[name].is_array() &&
         std::all_of(claims[name].begin(), claims[name].end(),
                     [](const json& one) { return one.is_string(); });
}

token_reading read_claims(const json& claims, wall_time now) {
  const auto issued = time_claim(claims, "iat"), expires = time_claim(claims, "exp");
  const auto generation = time_claim(claims, "generation");
  if (!issued || !expires || !generation || !is_text(claims, "sub") || !is_text(claims, "type") ||
      !is_text(claims, "client_id") || !are_texts(claims, "scopes")) {
    return {};
  }
  token_claims read;
  const auto type = claims["type"].get<std::string>();
  if (type != "access" && type != "refresh") return {};
  read.type = type == "access" ? token_type::access : token_type::refresh;
  if (read.type == token_type::refresh) {
    if (!is_text(claims, "sid")) return {};
    read.session = claims["sid"].get<std::string>();
  }
  read.user = claims["sub"].get<std::string>();
  read.client_id = claims["client_id"].get<std::string>();
  read.scopes = claims["scopes"].get<std::vector<std::string>>();
  read.generation = *generation;
  read.issued_at = wall_time(std::chrono::seconds(*issued));
  read.expires_at = wall_time(std::chrono::seconds(*expires));
  if (read.issued_at > now + clock_skew) return {};
  if (claims.contains("nbf")) {
    const auto begins = time_claim(claims, "nbf");
    if (!begins || wall_time(std::chrono::seconds(*begins)) > now + clock_skew) return {};
  }
  if (read.expires_at <= now) return {token_problem::expired, {}};
  return {token_problem::none, std::move(read)};
}

}  // namespace

token_signer::token_signer(std::string secret, std::string previous) {
  secrets_.push_back(std::move(secret));
  if (!previous.empty()) secrets_.push_back(std::move(previous));
}

std::string token_signer::sign(const token_claims& claims) const {
  json document{{"sub", claims.user},
                {"client_id", claims.client_id},
                {"scopes", claims.scopes},
                {"generation", claims.generation},
                {"iat", seconds_of(claims.issued_at)},
                {"exp", seconds_of(claims.expires_at)},
                {"type", claims.type == token_type::access ? "access" : "refresh"},
                {"jti", random_text()}};
  if (claims.type == token_type::refresh) document["sid"] = claims.session;
  jwt_t* made = nullptr;
  if (jwt_new(&made) != 0) throw std::bad_alloc();
  const jwt_ptr token(made);
  const auto& secret = secrets_.front();
  const bool is_set =
      jwt_add_grants_json(made, document.dump().c_str()) == 0 &&
      jwt_set_alg(made, JWT_ALG_HS256, bytes_of(secret), static_cast<int>(secret.size())) == 0;
  const text_ptr text(is_set ? jwt_encode_str(made) : nullptr);
  if (!text) throw std::runtime_error("a token cannot be signed");
  return text.get();
}

token_reading token_signer::read(std::string_view token, wall_time now) const {
  if (!has_shape(token)) return {};
  const std::string text(token);
  for (const auto& secret : secrets_) {
    const auto decoded = decode(text, secret);
    if (!decoded) continue;
    const text_ptr grants(jwt_get_grants_json(decoded.get(), nullptr));
    if (!grants) return {};
    const auto claims = json::parse(grants.get(), nullptr, false);
    return claims.is_object() ? read_claims(claims, now) : token_reading{};
  }
  return {};
}

token_signer make_token_signer(const config::security_options& security,
                               const std::filesystem::path& data_dir) {
  if (!security.jwt_secret.empty()) {
    return token_signer(security.jwt_secret, security.jwt_secret_previous);
  }
  const auto path = data_dir / "jwt-secret";
  if (!std::filesystem::exists(path)) write_private_file(path, random_text() + "\n");
  std::ifstream file(path);
  std::string secret;
  std::getline(file, secret);
  if (secret.size() < min_secret_bytes) {
    throw std::runtime_error(path.string() +
                             " does not hold a secret; delete it to have a new one made");
  }
  return token_signer(secret, security.jwt_secret_previous);
}

}  // namespace signalbox
