// Maps a user's access token to a principal. A token that has been verified is found by its digest;
// what its user may do is looked up every time. Each shard has one.
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>

#include "access/key_ring.hpp"
#include "access/user_token.hpp"

namespace signalbox {

struct bearer_reading {
  principal_ptr who;  // null: not a valid access token of an active user
  bool expired = false;
};

class token_cache {
 public:
  // Remembers at most 2 * `half` tokens.
  explicit token_cache(std::size_t half = 1024) : half_(half) {}

  bearer_reading find(std::string_view token, const token_signer& signer, const user_table& users,
                      wall_time now);
  std::size_t size() const { return young_.size() + old_.size(); }

 private:
  struct entry {
    token_claims claims;
    user_ptr user;  // the version of the user that `who` was made from
    principal_ptr who;
  };
  using entries = std::unordered_map<secret_digest, entry, digest_hash>;

  entry* remembered(const secret_digest& digest);
  entry& remember(const secret_digest& digest, entry made);

  std::size_t half_;
  // Two generations: when `young_` is full it replaces `old_`. A token found in `old_` moves back
  // to `young_`, so the tokens dropped with `old_` were not used for a whole generation.
  entries young_, old_;
};

}  // namespace signalbox
