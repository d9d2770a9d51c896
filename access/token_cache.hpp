// From a user's access token to a principal. A token that was read once is found by its digest;
// what its user may do now is looked up every time. One for each shard.
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>

#include "access/key_ring.hpp"
#include "access/user_token.hpp"

namespace signalbox {

struct bearer_reading {
  principal_ptr who;  // null: no access token of somebody who may come in
  bool expired = false;
};

class token_cache {
 public:
  // At most 2 * `half` tokens are remembered.
  explicit token_cache(std::size_t half = 1024) : half_(half) {}

  bearer_reading find(std::string_view token, const token_signer& signer, const user_table& users,
                      wall_time now);
  std::size_t size() const { return young_.size() + old_.size(); }

 private:
  struct entry {
    token_claims claims;
    user_ptr user;  // that `who` was made for
    principal_ptr who;
  };
  using entries = std::unordered_map<secret_digest, entry, digest_hash>;

  entry* remembered(const secret_digest& digest);
  entry& remember(const secret_digest& digest, entry made);

  std::size_t half_;
  // What was used since `young_` was last full is in there, so what leaves with `old_` was not.
  entries young_, old_;
};

}  // namespace signalbox
