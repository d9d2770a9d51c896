// Maps ids to slots in one flat table with linear probing and no tombstones. A look-up among a
// million ids costs one cache miss, where a table of nodes costs three. Consecutive ids lie in one
// cache line. Part of admission.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace signalbox::scheduling {

// The slot of each known id.
template <class Id>
class slot_index {
 public:
  static constexpr std::uint32_t none = 0xffffffff;

  std::uint32_t find(Id id) const {  // `none`: unknown
    if (size_ == 0) return none;
    for (auto i = home(id);; i = next(i)) {
      if (cells_[i].slot == none || cells_[i].id == id) return cells_[i].slot;
    }
  }

  void insert(Id id, std::uint32_t slot) {  // must be unknown
    if (2 * (size_ + 1) > cells_.size()) grow();
    put({id, slot});
    ++size_;
  }

  void erase(Id id) {  // must be known
    auto hole = home(id);
    while (cells_[hole].id != id || cells_[hole].slot == none) hole = next(hole);
    // Cells that were pushed past the hole move back into it, since a search stops at a free cell.
    for (auto i = next(hole); cells_[i].slot != none; i = next(i)) {
      const auto pushed = (i - home(cells_[i].id)) & (cells_.size() - 1);
      if (pushed < ((i - hole) & (cells_.size() - 1))) continue;
      cells_[hole] = cells_[i];
      hole = i;
    }
    cells_[hole].slot = none;
    --size_;
  }

  std::size_t size() const { return size_; }

 private:
  struct cell {
    Id id = 0;
    std::uint32_t slot = none;
  };

  std::size_t home(Id id) const {
    constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;  // 2^64 over the golden ratio
    return ((std::uint64_t{id} * golden) >> 32) & (cells_.size() - 1);
  }
  std::size_t next(std::size_t i) const { return (i + 1) & (cells_.size() - 1); }

  void put(const cell& c) {
    auto i = home(c.id);
    while (cells_[i].slot != none) i = next(i);
    cells_[i] = c;
  }

  void grow() {
    auto old = std::exchange(cells_, std::vector<cell>(cells_.empty() ? 16 : 2 * cells_.size()));
    for (const auto& c : old) {
      if (c.slot != none) put(c);
    }
  }

  std::vector<cell> cells_;  // a power of two of them, at most half in use
  std::size_t size_ = 0;
};

// Finds the slot of a waiting ticket by its id. Ids of one shard are consecutive, and most of those
// that wait are neighbours, so slots lie in pages of 32 ids. A ticket alone in its page costs 140
// bytes.
class ticket_index {
 public:
  static constexpr std::uint32_t none = slot_index<std::uint64_t>::none;

  std::uint32_t find(std::uint64_t id) const {  // `none`: unknown
    const auto number = numbers_.find(id / page_size);
    return number == none ? none : pages_[number].slots[id % page_size];
  }

  void insert(std::uint64_t id, std::uint32_t slot) {  // must be unknown
    auto number = numbers_.find(id / page_size);
    if (number == none) {
      if (unused_.empty()) {
        unused_.push_back(static_cast<std::uint32_t>(pages_.size()));
        pages_.emplace_back().slots.fill(none);
      }
      number = unused_.back();
      unused_.pop_back();
      numbers_.insert(id / page_size, number);
    }
    ++pages_[number].live;
    pages_[number].slots[id % page_size] = slot;
  }

  void erase(std::uint64_t id) {  // must be known
    const auto number = numbers_.find(id / page_size);
    auto& p = pages_[number];
    p.slots[id % page_size] = none;
    if (--p.live > 0) return;
    numbers_.erase(id / page_size);
    unused_.push_back(number);
  }

 private:
  static constexpr std::uint64_t page_size = 32;
  struct page {
    std::array<std::uint32_t, page_size> slots;
    std::uint32_t live = 0;
  };

  slot_index<std::uint64_t> numbers_;  // of a page, by its first id
  std::vector<page> pages_;
  std::vector<std::uint32_t> unused_;  // of `pages_`
};

}  // namespace signalbox::scheduling
