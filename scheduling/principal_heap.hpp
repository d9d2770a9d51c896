// A heap of the principals that wait at one priority; the one to be served next is on top. A node
// has four children. The owner is told where each entry stands, so that any counter can change in
// O(log n). Part of fair_share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "scheduling/admission.hpp"

namespace signalbox::scheduling {

// A principal that has tickets waiting.
struct heap_entry {
  double counter;     // weighted tokens served, divided by the weight
  queue_place place;  // of its first ticket; decides between equal counters
  std::uint32_t account;
  std::uint32_t slot;  // of its first ticket

  bool goes_before(const heap_entry& other) const {
    return counter < other.counter || (counter == other.counter && place < other.place);
  }
};

// The heap. It calls moved(account, position) for every entry whose position changes.
class principal_heap {
 public:
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  const heap_entry& top() const { return entries_.front(); }
  // The best of all but this account's; null: there is no other.
  const heap_entry* best_beside(std::uint32_t account) const {
    if (entries_.empty()) return nullptr;
    if (top().account != account) return &top();
    const auto end = std::min(entries_.size(), 1 + children);
    const heap_entry* best = nullptr;
    for (std::size_t i = 1; i < end; ++i) {
      if (best == nullptr || entries_[i].goes_before(*best)) best = &entries_[i];
    }
    return best;
  }

  template <class Moved>
  void push(const heap_entry& entry, Moved moved) {
    entries_.push_back(entry);
    rise(entries_.size() - 1, entry, moved);
  }

  template <class Moved>
  void update(std::size_t position, const heap_entry& entry, Moved moved) {
    if (entry.goes_before(entries_[position])) {
      rise(position, entry, moved);
    } else {
      sink(position, entry, moved);
    }
  }

  template <class Moved>
  void set_counter(std::size_t position, double counter, Moved moved) {
    auto& entry = entries_[position];
    const bool rises = counter < entry.counter;
    entry.counter = counter;
    if (rises) {
      if (position > 0) rise(position, heap_entry(entry), moved);
    } else if (position * children + 1 < entries_.size()) {
      sink(position, heap_entry(entry), moved);
    }
  }

  template <class Moved>
  void remove(std::size_t position, Moved moved) {
    const auto last = entries_.back();
    entries_.pop_back();
    if (position < entries_.size()) update(position, last, moved);
  }

 private:
  static constexpr std::size_t children = 4;

  template <class Moved>
  void put(std::size_t position, const heap_entry& entry, Moved& moved) {
    entries_[position] = entry;
    moved(entry.account, static_cast<std::uint32_t>(position));
  }

  template <class Moved>
  void rise(std::size_t position, const heap_entry& entry, Moved& moved) {
    while (position > 0) {
      const auto parent = (position - 1) / children;
      if (!entry.goes_before(entries_[parent])) break;
      put(position, entries_[parent], moved);
      position = parent;
    }
    put(position, entry, moved);
  }

  template <class Moved>
  void sink(std::size_t position, const heap_entry& entry, Moved& moved) {
    for (;;) {
      const auto first = position * children + 1;
      if (first >= entries_.size()) break;
      auto best = first;
      const auto end = std::min(first + children, entries_.size());
      for (auto child = first + 1; child < end; ++child) {
        if (entries_[child].goes_before(entries_[best])) best = child;
      }
      if (!entries_[best].goes_before(entry)) break;
      put(position, entries_[best], moved);
      position = best;
    }
    put(position, entry, moved);
  }

  std::vector<heap_entry> entries_;
};

}  // namespace signalbox::scheduling
