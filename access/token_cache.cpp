#include "access/token_cache.hpp"

#include <utility>

namespace signalbox {

bearer_reading token_cache::find(std::string_view token, const token_signer& signer,
                                 const user_table& users, wall_time now) {
  const auto digest = digest_of(token);
  auto* known = remembered(digest);
  if (!known) {
    auto reading = signer.read(token, now);
    if (reading.problem == token_problem::expired) return {nullptr, true};
    if (reading.problem != token_problem::none) return {};
    if (reading.claims.type != token_type::access) return {};
    known = &remember(digest, {std::move(reading.claims), nullptr, nullptr});
  }
  const auto user = users.find(known->claims.user);
  if (!user || user->disabled || user->generation != known->claims.generation) return {};
  if (user != known->user) {
    known->who = principal_of(*user, known->claims.scopes, known->claims.expires_at);
    known->user = user;
  }
  if (known->claims.expires_at <= now) return {nullptr, true};
  return {known->who, false};
}

token_cache::entry* token_cache::remembered(const secret_digest& digest) {
  if (const auto found = young_.find(digest); found != young_.end()) return &found->second;
  auto node = old_.extract(digest);
  if (node.empty()) return nullptr;
  return &remember(digest, std::move(node.mapped()));
}

token_cache::entry& token_cache::remember(const secret_digest& digest, entry made) {
  if (young_.size() >= half_) {
    old_ = std::move(young_);
    young_.clear();
  }
  return young_.emplace(digest, std::move(made)).first->second;
}

}  // namespace signalbox
