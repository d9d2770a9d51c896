// The tokens of logged-in users: JWT (RFC 7519), HS256 only. An access token is a bearer
// credential; a refresh token can only be exchanged for new tokens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.hpp"
#include "records/wall_time.hpp"

namespace signalbox {

enum class token_type : std::uint8_t { access, refresh };

struct token_claims {
  token_type type = token_type::access;
  std::string user;       // "sub"
  std::string client_id;  // the calling application
  std::vector<std::string> scopes;
  std::int64_t generation = 0;  // generation of the user when the token was made
  std::string session;          // "sid": the login session of a refresh token
  wall_time issued_at{}, expires_at{};
};

enum class token_problem : std::uint8_t { none, invalid, expired };
struct token_reading {
  token_problem problem = token_problem::invalid;
  token_claims claims;  // valid when `problem` is none
};

// Signs and verifies tokens. Immutable, hence thread-safe.
class token_signer {
 public:
  // Tokens signed with `previous` are accepted too, unless it is empty.
  explicit token_signer(std::string secret, std::string previous = {});

  // Returns a unique token, even for equal claims.
  std::string sign(const token_claims& claims) const;
  token_reading read(std::string_view token, wall_time now) const;

 private:
  std::vector<std::string> secrets_;  // the first signs, all verify
};

// Uses the configured secret, or the one in data_dir/jwt-secret, which it creates if missing (0600,
// atomically). Throws std::runtime_error when the file cannot be read or written.
token_signer make_token_signer(const config::security_options& security,
                               const std::filesystem::path& data_dir);

}  // namespace signalbox
