// The tickets of one class and priority in order of arrival. Tickets are added at the end and
// removed anywhere, and those before a point can be counted. Positions lie in blocks of 512 with a
// bit for each ticket that still waits, so that a removal touches one word and no neighbour, and a
// count adds up one number for each block. Memory grows with the tickets that wait, not with all
// that came.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// A ticket's entry in its line.
struct line_entry {
  time_point arrival;
  std::uint64_t sequence;  // order of arrival over all lines
  std::uint32_t slot;      // the owner's record of this ticket
};

// One such line.
class ticket_line {
 public:
  // Arrivals and sequences must not decrease. The returned position identifies the ticket.
  std::uint64_t push(const line_entry& entry);
  const line_entry& front() const;  // must not be empty
  void remove(std::uint64_t position);
  const line_entry& at(std::uint64_t position) const;
  void prefetch(std::uint64_t position) const;

  std::uint32_t size() const { return live_; }
  bool empty() const { return live_ == 0; }

  // Most positions are empty and still cost memory; the owner should call compact().
  bool sparse() const { return blocks_.size() * block_size > 8 * std::size_t{live_} + slack; }
  // Gives the tickets new positions without gaps, and calls moved(slot, position) for each.
  template <class F>
  void compact(F moved);

  // Calls f(entry) for every ticket, in order.
  template <class F>
  void for_each(F f) const;

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

  std::vector<block> blocks_;  // ascending; only the last one may be without a live entry
  std::uint64_t next_ = 0;
  std::uint32_t live_ = 0;
};

template <class F>
void ticket_line::for_each(F f) const {
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
  for_each([&](const line_entry& entry) { moved(entry.slot, packed.push(entry)); });
  *this = std::move(packed);
}

template <class Predicate>
std::uint32_t ticket_line::count_while(Predicate before) const {
  std::uint32_t count = 0;
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
