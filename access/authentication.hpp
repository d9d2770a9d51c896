// Who asks: from a credential to a principal, by one hash look-up in an immutable table.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/settings.hpp"
#include "records/keys.hpp"
#include "scheduling/rate_limit.hpp"

namespace signalbox {

// `any`: a valid key that may do anything at all; no key has it by name.
enum class scope : std::uint8_t { none, realtime, batch, eval, upload, monitor, admin, any };
std::string_view to_string(scope value);
std::optional<scope> parse_scope(std::string_view name);  // not `none`

// What outlives every change of a key.
struct key_account {
  std::uint32_t number = 0;  // from 1, the same for the life of the process
  scheduling::limit_account limits;
  std::atomic<bool> is_noted{false};  // its limits changed, and wait to be saved (shard::note_use)
};

// One secret of a key, and what it may do. Immutable: a change makes another one, which shares the
// account.
struct principal {
  std::string key_id;
  std::uint32_t number = 0;         // the account's
  std::uint32_t scopes = 0;         // bit 1 << scope
  std::vector<std::string> models;  // names that may be asked for; empty: all
  double weight = 1;                // its fair share, next to those of others
  scheduling::key_limits limits;
  wall_time expires_at = wall_time::max();
  std::shared_ptr<key_account> account;

  // admin implies all others; `none` is what an open route asks for.
  bool may(scope needed) const;
  bool may_use(const config::model_options& model) const;
};
using principal_ptr = std::shared_ptr<const principal>;

// BLAKE2b-256 of a token. Tokens are long and random, so a fast hash is the right one; neither the
// table nor the disk holds a token itself.
secret_digest digest_of(std::string_view token);
std::string make_key_id();                      // "key_" and 64 random bits
std::string make_token();                       // "sbk_" and 192 random bits
std::string hint_of(const std::string& token);  // its first characters

struct digest_hash {
  std::size_t operator()(const secret_digest& digest) const;
};

// Immutable once built: published as a snapshot.
class key_table {
 public:
  void add(const secret_digest& digest, principal_ptr who);  // the first one with a secret has it
  void reserve(std::size_t secrets) { principals_.reserve(secrets); }

  // Null when the token is unknown. It may have expired.
  principal_ptr find(std::string_view token) const;

 private:
  std::unordered_map<secret_digest, principal_ptr, digest_hash> principals_;
};
using key_table_ptr = std::shared_ptr<const key_table>;

// The token in `Authorization: Bearer <token>` (scheme in any case, RFC 6750); empty if it is none.
std::string_view bearer_token(std::string_view authorization);

}  // namespace signalbox
