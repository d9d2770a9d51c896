// Authentication: maps a credential to a principal by one hash look-up in an immutable table.
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

// `none`: an open route, which needs no credential. `any`: a route for every valid key with at
// least one scope; no key holds `any` itself.
enum class scope : std::uint8_t { none, realtime, batch, eval, upload, monitor, admin, any };
std::string_view to_string(scope value);
std::optional<scope> parse_scope(std::string_view name);  // not `none`, not `any`
// All that parse_scope() knows, for help and errors.
inline constexpr const char* scope_list = "realtime, batch, eval, upload, monitor, admin";

// The state of a key that outlives every change of the key.
struct key_account {
  std::uint32_t number = 0;  // from 1, the same for the life of the process
  scheduling::limit_account limits;
  std::atomic<bool> is_noted{false};  // its limit state is to be saved (shard::note_use)
};

// One secret of a key and what it allows. Immutable: a change of the key makes a new principal,
// which shares the account.
struct principal {
  std::string key_id;
  std::uint32_t number = 0;         // the account's
  std::uint32_t scopes = 0;         // one bit each: 1 << scope
  std::vector<std::string> models;  // models the key may use; empty: all
  double weight = 1;                // its share relative to other keys
  scheduling::key_limits limits;
  wall_time expires_at = wall_time::max();
  std::shared_ptr<key_account> account;

  // The scope admin includes all others; `none` is always allowed.
  bool may(scope needed) const;
  bool may_use(const config::model_options& model) const;
};
using principal_ptr = std::shared_ptr<const principal>;

// Returns the BLAKE2b-256 digest of a token. A fast hash suffices because tokens are long and
// random; neither the table nor the disk holds a token itself.
secret_digest digest_of(std::string_view token);
std::string make_id(std::string_view prefix);   // the prefix and 64 random bits
std::string make_key_id();                      // with "key_"
std::string make_token();                       // "sbk_" and 192 random bits
std::string hint_of(const std::string& token);  // its first characters

struct digest_hash {
  std::size_t operator()(const secret_digest& digest) const;
};

// Maps digests of tokens to principals. Shards read it as a published snapshot, so it is never
// changed once it is built.
class key_table {
 public:
  // Does nothing when the digest is there already.
  void add(const secret_digest& digest, principal_ptr who);
  void reserve(std::size_t secrets) { principals_.reserve(secrets); }

  // Returns null when the token is unknown. The principal may have expired.
  principal_ptr find(std::string_view token) const;

 private:
  std::unordered_map<secret_digest, principal_ptr, digest_hash> principals_;
};
using key_table_ptr = std::shared_ptr<const key_table>;

// Returns the token in `Authorization: Bearer <token>` (scheme in any case, RFC 6750), or an empty
// text when the field has another form.
std::string_view bearer_token(std::string_view authorization);

}  // namespace signalbox
