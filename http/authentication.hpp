// Who asks: from a credential to a principal, by one hash look-up in an immutable table.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace signalbox::http {

enum class scope : std::uint8_t { none, realtime, batch, eval, upload, monitor, admin };
std::string_view to_string(scope value);

struct principal {
  std::string key_id;
  std::uint32_t number = 0;  // of the key, from 1; the same for the life of the process
  double weight = 1;         // its fair share, next to those of others
  std::uint32_t scopes = 0;  // bit 1 << scope

  // admin implies all others; `none` is what an open route asks for.
  bool may(scope needed) const;
};
using principal_ptr = std::shared_ptr<const principal>;

// BLAKE2b-256 of a token. Tokens are long and random, so a fast hash is the right one; neither the
// table nor the disk holds a token itself.
using token_digest = std::array<std::uint8_t, 32>;
token_digest digest_of(std::string_view token);

struct key_entry {
  std::string id;
  token_digest digest;
  std::vector<std::string> scopes;  // names; an unknown one throws std::invalid_argument
};

// Immutable once built: published as a snapshot.
class key_table {
 public:
  explicit key_table(const std::vector<key_entry>& keys);

  // Null when the token is unknown.
  principal_ptr find(std::string_view token) const;

 private:
  struct first_bytes {
    std::size_t operator()(const token_digest& d) const;
  };

  std::unordered_map<token_digest, principal_ptr, first_bytes> principals_;
};
using key_table_ptr = std::shared_ptr<const key_table>;

// The token in `Authorization: Bearer <token>` (scheme in any case, RFC 6750); empty if it is none.
std::string_view bearer_token(std::string_view authorization);

}  // namespace signalbox::http
