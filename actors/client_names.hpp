// Bounds how many clients of a key are counted separately in a day: the first `limit` names are,
// and all others are counted together.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace signalbox {

// The client names that are counted separately, by day and key.
class client_names {
 public:
  explicit client_names(std::size_t limit) : limit_(limit) {}

  // Returns the name under which `client` is counted: its own, or "other".
  std::string admit(const std::string& key_id, std::int32_t day, std::string client) {
    if (client.empty() || client == other) return client;
    auto& known = known_[{day, key_id}];
    if (known.contains(client)) return client;
    if (known.size() >= limit_) return other;
    known.insert(client);
    return client;
  }

  // Adds a name from the database even beyond the limit, since it is counted there already.
  void learn(const std::string& key_id, std::int32_t day, const std::string& client) {
    if (client != other) known_[{day, key_id}].insert(client);
  }

  void forget() { known_.clear(); }
  void forget_before(std::int32_t day) {
    known_.erase(known_.begin(), known_.lower_bound({day, {}}));
  }

  static constexpr const char* other = "other";

 private:
  std::size_t limit_;
  std::map<std::pair<std::int32_t, std::string>, std::set<std::string>> known_;
};

}  // namespace signalbox
