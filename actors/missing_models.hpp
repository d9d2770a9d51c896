// Counts requests for names that no model has: how often each came, when first and last, and from
// whom last. Their number is bounded; the name that was seen longest ago is dropped.
#pragma once

#include <algorithm>
#include <iterator>
#include <list>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/messages.hpp"

namespace signalbox {

// The names, in the order in which they were last seen.
class missing_models {
 public:
  explicit missing_models(std::size_t limit) : limit_(limit) {}

  void add(missing_model m) {
    const auto found = by_name_.find(m.model);
    if (found == by_name_.end()) {
      const auto added = newest_first_.insert(place_of(m.last_seen), {std::move(m), false});
      by_name_.emplace(added->model.model, added);
      if (newest_first_.size() > limit_) forget_oldest();
      return;
    }
    auto& known = *found->second;
    known.model += m;
    known.is_saved = false;
    newest_first_.splice(place_of(known.model.last_seen), newest_first_, found->second);
  }

  // Adds the names that an earlier process saved, newest first. They count as older than all that
  // were added in this one.
  void learn(const std::vector<missing_model>& saved) {
    for (const auto& m : saved) {
      const auto found = by_name_.find(m.model);
      if (found != by_name_.end()) {
        found->second->model += m;
      } else if (newest_first_.size() < limit_) {
        newest_first_.push_back({m, true});
        by_name_.emplace(newest_first_.back().model.model, std::prev(newest_first_.end()));
      }
    }
  }

  // The names that changed since they were saved, with their whole counts, so that saving one twice
  // changes nothing.
  std::vector<missing_model> unsaved() const {
    std::vector<missing_model> out;
    for (const auto& known : newest_first_) {
      if (!known.is_saved) out.push_back(known.model);
    }
    return out;
  }
  void all_are_saved() {
    for (auto& known : newest_first_) known.is_saved = true;
  }

  std::vector<missing_model> newest(std::size_t count) const {
    std::vector<missing_model> out;
    for (const auto& known : newest_first_) {
      if (out.size() == count) break;
      out.push_back(known.model);
    }
    return out;
  }

 private:
  struct entry {
    missing_model model;
    bool is_saved;
  };

  // Returns the first that was not seen later. What one shard saw may come after what others saw
  // later.
  std::list<entry>::iterator place_of(wall_time last_seen) {
    return std::find_if(newest_first_.begin(), newest_first_.end(),
                        [&](const entry& e) { return e.model.last_seen <= last_seen; });
  }

  void forget_oldest() {
    by_name_.erase(newest_first_.back().model.model);
    newest_first_.pop_back();
  }

  std::size_t limit_;
  std::list<entry> newest_first_;
  std::unordered_map<std::string_view, std::list<entry>::iterator> by_name_;  // views into the list
};

}  // namespace signalbox
