#include "scheduling/ticket_line.hpp"

#include <cassert>

namespace signalbox::scheduling {

std::uint64_t ticket_line::push(const line_entry& entry) {
  if (blocks_.empty() || blocks_.back().used == block_size) {
    blocks_.push_back({next_, 0, 0, std::make_unique<block_body>()});
  }
  auto& b = blocks_.back();
  auto index = b.used++;
  b.body->entries[index] = entry;
  b.body->waiting[index / word_bits] |= std::uint64_t{1} << (index % word_bits);
  ++b.live;
  ++live_;
  return next_++;
}

const line_entry& ticket_line::front() const {
  assert(!empty());
  if (returned_.empty()) return first_pushed();
  if (live_ == 0 || returned_.front().place < first_pushed().place) return returned_.front();
  return first_pushed();
}

const line_entry& ticket_line::first_pushed() const {
  const auto& body = *blocks_.front().body;
  for (std::uint32_t word = 0;; ++word) {
    if (auto bits = body.waiting[word]; bits != 0) {
      return body.entries[word * word_bits + std::countr_zero(bits)];
    }
  }
}

void ticket_line::remove(std::uint64_t position) {
  auto found = block_of(position);
  auto& b = blocks_[found];
  auto index = static_cast<std::uint32_t>(position - b.first);
  auto bit = std::uint64_t{1} << (index % word_bits);
  assert(b.body->waiting[index / word_bits] & bit);
  b.body->waiting[index / word_bits] &= ~bit;
  --live_;
  if (--b.live > 0) return;
  if (found + 1 == blocks_.size()) {
    b.first = next_;
    b.used = 0;
  } else {
    blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(found));
  }
}

void ticket_line::put_back(const line_entry& entry) {
  returned_.insert(std::ranges::upper_bound(returned_, entry.place, {}, &line_entry::place), entry);
}

void ticket_line::remove_returned(const queue_place& place) {
  const auto found = std::ranges::lower_bound(returned_, place, {}, &line_entry::place);
  assert(found != returned_.end() && found->place == place);
  returned_.erase(found);
}

std::size_t ticket_line::block_of(std::uint64_t position) const {
  assert(!blocks_.empty());
  auto later = [](std::uint64_t p, const block& b) { return p < b.first; };
  auto after = std::upper_bound(blocks_.begin() + 1, blocks_.end(), position, later);
  return static_cast<std::size_t>(after - blocks_.begin()) - 1;
}

}  // namespace signalbox::scheduling
