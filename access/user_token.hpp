// The tokens that users get: JWT (RFC 7519), HS256 only. An access token is a bearer credential, a
// refresh token is exchanged for new ones and is no credential.
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
  std::int64_t generation = 0;  // of the user, when the token was made
  std::string session;          // "sid": the login that a refresh token came of
  wall_time issued_at{}, expires_at{};
};

enum class token_problem : std::uint8_t { none, invalid, expired };
struct token_reading {
  token_problem problem = token_problem::invalid;
  token_claims claims;  // when there is no problem
};

// Immutable; for all threads.
class token_signer {
 public:
  // What `previous` signed is accepted too, unless it is empty.
  explicit token_signer(std::string secret, std::string previous = {});

  // Unique, also when the claims are not.
  std::string sign(const token_claims& claims) const;
  token_reading read(std::string_view token, wall_time now) const;

 private:
  std::vector<std::string> secrets_;  // the one that signs comes first
};

// The configured secret, or that in data_dir/jwt-secret, which is made when it is not there (0600,
// atomically). Throws std::runtime_error when the file cannot be read or written.
token_signer make_token_signer(const config::security_options& security,
                               const std::filesystem::path& data_dir);

}  // namespace signalbox
