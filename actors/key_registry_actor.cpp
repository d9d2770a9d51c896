#include "actors/key_registry_actor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "actors/shell.hpp"
#include "persistence/key_store.hpp"
#include "persistence/user_store.hpp"

namespace signalbox {
namespace {

using namespace std::chrono_literals;

// Other programs, such as the command line, change keys too. Looking this often makes a change
// known everywhere within a second.
constexpr duration look_interval = 250ms;
constexpr std::uint32_t page = 10000;  // keys or users that are read at once
constexpr std::uint32_t max_listed_keys = 1000;

// Adds all rows above `version`, and sets it to the version of the last one.
template <typename Store, typename Record>
void read_changes(Store& store, std::int64_t& version, std::vector<Record>& into) {
  while (true) {
    auto more = store.changed_since(version, page);
    const bool is_last = more.size() < page;
    if (!more.empty()) version = more.back().version;
    std::move(more.begin(), more.end(), std::back_inserter(into));
    if (is_last) return;
  }
}

class key_registry : public key_registry_actor::base {
 public:
  key_registry(caf::actor_config& cfg, persistence::database& db, metrics& recorder)
      : key_registry_actor::base(cfg), store_(db), users_(db), recorder_(recorder) {
    end_on_exception(this, "key_registry");
  }

  const char* name() const override { return "key_registry"; }

 protected:
  behavior_type make_behavior() override {
    return {
        [this](const subscribe_keys& m) { return on_subscribe(m); },
        [this](const create_key& m) { return answer([&] { return create(m); }); },
        [this](const change_key& m) { return answer([&] { return change(m); }); },
        [this](const rotate_key& m) { return answer([&] { return rotate(m); }); },
        [this](const revoke_key& m) { return answer([&] { return revoke(m); }); },
        [this](const find_key& m) { return answer([&] { return changed(m.id, true); }); },
        [this](const list_keys& m) { return answer([&] { return list(m); }); },
        [this](const save_limit_states& m) { on_states(m); },
        [this](const open_session& m) { return on_open_session(m); },
        [this](const renew_session& m) { return on_renew(m); },
        [this](tick) { on_tick(); },
    };
  }

 private:
  bool on_subscribe(const subscribe_keys& m) {
    listener_ = m.listener;
    version_ = users_version_ = 0;
    loaded_ = false;
    on_tick();
    return loaded_;
  }

  void on_tick() {
    timer_.fired(clock().now());
    auto next = look_interval;
    try {
      look();
      backoff_.succeeded();
      recorder_.database_up(true);
    } catch (const persistence::database_unavailable& e) {
      if (!away_) spdlog::warn("keys: the database is away, changes wait: {}", e.what());
      next = backoff_.failed();
      recorder_.database_up(false);
      away_ = true;
    }
    timer_.arm(this, clock().now() + next);
  }

  // Tells the listener what changed since the last time; the first time it tells everything.
  void look() {
    if (!listener_) return;
    keys_changed news;
    auto version = version_, users_version = users_version_;
    read_changes(store_, version, news.keys);
    read_changes(users_, users_version, news.users);
    if (!loaded_) {
      news.states = store_.states();
      const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
      news.used_today = store_.used_on(static_cast<std::int32_t>(today.time_since_epoch().count()));
    }
    if (!loaded_ || !news.keys.empty() || !news.users.empty()) listener_(news);
    if (std::exchange(away_, false)) spdlog::info("keys: the database is back");
    loaded_ = true;
    version_ = version;
    users_version_ = users_version;
  }

  // A secret is not handed out once the sender has stopped waiting for it.
  static void require_in_time(time_point give_up_at) {
    if (std::chrono::steady_clock::now() < give_up_at) return;
    throw persistence::database_unavailable("an order waited too long");
  }

  template <typename Work>
  key_answer answer(Work work) {
    try {
      return work();
    } catch (const persistence::database_unavailable& e) {
      spdlog::warn("keys: the database is away: {}", e.what());
      return {key_problem::database_away, {}};
    }
  }

  key_answer create(const create_key& m) {
    require_in_time(m.give_up_at);
    if (!store_.add({m.key})) return {key_problem::exists, {}};
    return changed(m.key.id, true);
  }

  key_answer rotate(const rotate_key& m) {
    require_in_time(m.give_up_at);
    return changed(m.id, store_.rotate(m));
  }

  key_answer revoke(const revoke_key& m) { return changed(m.id, store_.revoke(m.id)); }

  key_answer change(const change_key& m) {
    auto key = store_.find(m.id);
    if (!key) return {key_problem::not_found, {}};
    m.change(*key);
    return changed(m.id, store_.update(*key));
  }

  // The key as it is now, known to all shards.
  key_answer changed(const std::string& id, bool was_changed) {
    auto found = store_.find(id);
    if (!found) return {key_problem::not_found, {}};
    if (!was_changed) return {key_problem::revoked, {std::move(*found)}};
    look();
    return {key_problem::none, {std::move(*found)}};
  }

  key_answer list(const list_keys& m) {
    return {key_problem::none, store_.newest(std::min(m.limit, max_listed_keys), m.after)};
  }

  // States that cannot be kept now are sent again as long as they matter.
  void on_states(const save_limit_states& m) {
    try {
      store_.save_states(m.states);
    } catch (const persistence::database_unavailable& e) {
      spdlog::debug("keys: the states of {} limits are not kept: {}", m.states.size(), e.what());
    }
  }

  template <typename Work>
  session_answer answer_session(Work work) {
    try {
      return {work()};
    } catch (const persistence::database_unavailable& e) {
      spdlog::warn("sessions: the database is away: {}", e.what());
      return {session_problem::database_away};
    }
  }

  session_answer on_open_session(const open_session& m) {
    return answer_session([&] {
      require_in_time(m.give_up_at);
      return users_.open(m);
    });
  }

  session_answer on_renew(const renew_session& m) {
    const auto answer = answer_session([&] {
      require_in_time(m.next.give_up_at);
      return users_.renew(m);
    });
    if (answer.problem == session_problem::reused) {
      spdlog::warn("user {}: a used refresh token came back, its session has ended", m.next.user);
    }
    return answer;
  }

  persistence::key_store store_;
  persistence::user_store users_;
  metrics& recorder_;
  key_listener listener_;
  std::int64_t version_ = 0, users_version_ = 0;  // greatest ones told so far
  bool loaded_ = false;
  bool away_ = false;
  retry_backoff backoff_;
  tick_timer timer_;
};

}  // namespace

key_registry_actor spawn_key_registry(caf::actor_system& system, persistence::database& db,
                                      metrics& recorder) {
  return system.spawn<key_registry, caf::detached>(std::ref(db), std::ref(recorder));
}

}  // namespace signalbox
