// The tickets of one class and priority in order of arrival. Tickets are added at the end and
// removed anywhere, and those before a point can be counted. Positions lie in blocks of 512 with a
// bit for each ticket that still waits, so that a removal touches one word and no neighbour, and a
// count adds up one number for each block. Memory grows with the tickets that wait, not with all
// that came. Tickets that return to an old place are few: they lie beside the blocks, in a sorted
// list.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "scheduling/admission.hpp"

namespace signalbox::scheduling {

// A ticket's entry in its line.
struct line_entry {
  queue_place place;
  std::uint32_t slot;  // the owner's record of this ticket
};

// One such line.
class ticket_line {
 public:
  // Places must not decrease. The returned position identifies the ticket.
  std::uint64_t push(const line_entry& entry);
  void remove(std::uint64_t position);
  // Adds a ticket at any place that is not in the line. It costs O(log n), and a move of the
  // returned tickets behind it.
  void put_back(const line_entry& entry);
  void remove_returned(const queue_place& place);
  const line_entry& front() const;  // not when empty

  bool empty() const { return live_ == 0 && returned_.empty(); }

  // Most positions are empty and still cost memory; the owner should call compact().
  bool sparse() const { return blocks_.size() * block_size > 8 * std::size_t{live_} + slack; }
  // Gives the tickets that were pushed new positions without gaps, and calls moved(slot, position)
  // for each.
  template <class F>
  void compact(F moved);

  // Counts the tickets for which `before` is true; these must be the first ones of the line.
  template <class Predicate>
  std::uint32_t count_while(Predicate before) const;

 private:
  static constexpr std::uint32_t block_size = 512;
  static constexpr std::uint32_t word_bits = 64;
  static constexpr std::size_t slack = 4 * block_size;

  struct block_body {
    std::array<std::uint64_t, block_size / word_bits> waiting{};
    std::array<line_entry, block_size> entries;  // removed ones keep their arrival: sorted
  };
  struct block {
    std::uint64_t first = 0;  // position of entry 0
    std::uint32_t used = 0;   // entries filled so far
    std::uint32_t live = 0;   // those of them that still wait
    std::unique_ptr<block_body> body;
  };

  std::size_t block_of(std::uint64_t position) const;
  const line_entry& first_pushed() const;
  template <class F>
  void for_each_pushed(F f) const;

  std::vector<block> blocks_;  // ascending; only the last one may be without a live entry
  std::uint64_t next_ = 0;
  std::uint32_t live_ = 0;            // in `blocks_`
  std::vector<line_entry> returned_;  // by place
};

template <class F>
void ticket_line::for_each_pushed(F f) const {
  for (const auto& b : blocks_) {
    for (std::uint32_t word = 0; word < b.body->waiting.size(); ++word) {
      for (auto bits = b.body->waiting[word]; bits != 0; bits &= bits - 1) {
        f(b.body->entries[word * word_bits + std::countr_zero(bits)]);
      }
    }
  }
}

template <class F>
void ticket_line::compact(F moved) {
  ticket_line packed;
  packed.next_ = next_;
  packed.returned_ = std::move(returned_);
  for_each_pushed([&](const line_entry& entry) { moved(entry.slot, packed.push(entry)); });
  *this = std::move(packed);
}

template <class Predicate>
std::uint32_t ticket_line::count_while(Predicate before) const {
  const auto returned = std::partition_point(returned_.begin(), returned_.end(), before);
  auto count = static_cast<std::uint32_t>(returned - returned_.begin());
  for (const auto& b : blocks_) {
    const auto& entries = b.body->entries;
    if (b.used == 0 || !before(entries[0])) break;
    if (before(entries[b.used - 1])) {
      count += b.live;
      continue;
    }
    auto end = std::partition_point(entries.begin(), entries.begin() + b.used, before);
    auto prefix = static_cast<std::uint32_t>(end - entries.begin());
    for (std::uint32_t word = 0; word * word_bits < prefix; ++word) {
      auto bits = b.body->waiting[word];
      auto rest = prefix - word * word_bits;
      if (rest < word_bits) bits &= (std::uint64_t{1} << rest) - 1;
      count += static_cast<std::uint32_t>(std::popcount(bits));
    }
    break;
  }
  return count;
}

}  // namespace signalbox::scheduling
