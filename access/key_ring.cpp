#include "access/key_ring.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "config/settings.hpp"

namespace signalbox {

namespace {

// The two clocks share no origin, so each conversion relates them by what both read now.
wall_time to_wall(time_point at) {
  const auto ahead = at - std::chrono::steady_clock::now();
  return std::chrono::system_clock::now() + std::chrono::duration_cast<wall_time::duration>(ahead);
}

time_point to_steady(wall_time at) {
  return std::chrono::steady_clock::now() + (at - std::chrono::system_clock::now());
}

std::uint32_t bits_of(const std::vector<std::string>& scopes) {
  std::uint32_t bits = 0;
  for (const auto& name : scopes) {
    if (const auto value = parse_scope(name)) bits |= 1U << static_cast<unsigned>(*value);
  }
  return bits;
}

std::uint32_t with_implied(std::uint32_t scopes) {
  const auto admin = 1U << static_cast<unsigned>(scope::admin);
  return (scopes & admin) != 0 ? ~0U : scopes;
}

principal to_principal(const key_record& key, std::shared_ptr<key_account> account) {
  principal who;
  who.key_id = key.id;
  who.number = account->number;
  who.scopes = bits_of(key.scopes);
  who.models = key.models;
  who.weight = key.weight;
  who.limits = key.limits;
  who.expires_at = key.expires_at.value_or(wall_time::max());
  who.account = std::move(account);
  return who;
}

}  // namespace

principal_ptr principal_of(const user_entry& user, const std::vector<std::string>& token_scopes,
                           wall_time expires_at) {
  principal who;
  who.key_id = user.key_id;
  who.number = user.account->number;
  who.scopes = with_implied(bits_of(user.scopes)) & with_implied(bits_of(token_scopes));
  who.limits = user.limits;
  who.expires_at = expires_at;
  who.account = user.account;
  return std::make_shared<const principal>(std::move(who));
}

user_ptr user_table::find(const std::string& name) const {
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : found->second;
}

key_ring::key_ring(const std::vector<key_record>& configured,
                   const scheduling::key_limits& user_limits)
    : user_limits_(user_limits) {
  for (const auto& key : configured) configured_.emplace(key.id, secrets_of(key));
  publish();
}

principal_ptr key_ring::make_principal(const key_record& key) {
  return std::make_shared<const principal>(to_principal(key, account_of(key.id)));
}

void key_ring::apply(const keys_changed& news) {
  for (const auto& key : news.keys) {
    if (configured_.contains(key.id)) {
      spdlog::warn(
          "key {}: the configuration has a key with this id, which hides the one in the database",
          key.id);
    }
    stored_.insert_or_assign(key.id, secrets_of(key));
  }
  const auto now = std::chrono::steady_clock::now();
  const auto today = day(now, std::chrono::system_clock::now());
  for (const auto& state : news.states) {
    account_of(state.key_id)
        ->limits.restore_rates(to_steady(state.requests_full_at), to_steady(state.tokens_full_at));
  }
  for (const auto& used : news.used_today) {
    if (used.date == today.date) {
      account_of(used.key_id)->limits.restore_day(today.number, used.tokens);
    }
  }
  if (!news.users.empty()) apply_users(news.users);
  publish();
}

scheduling::counted_day key_ring::day(time_point now, wall_time wall) {
  const std::lock_guard lock(days_mutex_);
  return days_.at(now, wall);
}

user_ptr key_ring::entry_of(const user_record& user) {
  auto entry = std::make_shared<user_entry>();
  entry->password_hash = user.password_hash;
  entry->scopes = user.scopes;
  entry->disabled = user.disabled;
  entry->generation = user.generation;
  entry->key_id = std::string(config::user_id_prefix) + user.name;
  entry->limits = user_limits_;
  entry->account = account_of(entry->key_id);
  return entry;
}

void key_ring::apply_users(const std::vector<user_record>& users) {
  auto table = std::make_shared<user_table>(*users_.load());
  for (const auto& user : users) table->set(user.name, entry_of(user));
  users_.store(std::move(table));
}

std::shared_ptr<key_account> key_ring::account_of(const std::string& id) {
  auto& account = accounts_[id];
  if (!account) {
    account = std::make_shared<key_account>();
    account->number = static_cast<std::uint32_t>(accounts_.size());
  }
  return account;
}

key_ring::secrets key_ring::secrets_of(const key_record& key) {
  secrets all;
  if (key.revoked_at) return all;
  auto who = to_principal(key, account_of(key.id));
  if (key.old_digest) {
    auto before = who;
    before.expires_at = std::min(who.expires_at, key.old_until);
    all.emplace_back(*key.old_digest, std::make_shared<const principal>(std::move(before)));
  }
  all.emplace_back(key.digest, std::make_shared<const principal>(std::move(who)));
  return all;
}

void key_ring::publish() {
  auto table = std::make_shared<key_table>();
  table->reserve(configured_.size() + 2 * stored_.size());
  for (const auto& [id, all] : configured_) {
    for (const auto& [digest, who] : all) table->add(digest, who);
  }
  for (const auto& [id, all] : stored_) {
    if (configured_.contains(id)) continue;
    for (const auto& [digest, who] : all) table->add(digest, who);
  }
  table_.store(std::move(table));
}

key_limit_state state_of(const principal& who) {
  const auto& limits = who.account->limits;
  return {who.key_id, to_wall(limits.requests().full_at()), to_wall(limits.tokens().full_at())};
}

}  // namespace signalbox
