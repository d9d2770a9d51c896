#include "scheduling/waiting_tickets.hpp"

#include <algorithm>

namespace signalbox::scheduling {

void waiting_tickets::add(const ticket& t, time_point now) {
  std::uint32_t slot;
  if (unused_.empty()) {
    slot = static_cast<std::uint32_t>(records_.size());
    records_.emplace_back();
  } else {
    slot = unused_.back();
    unused_.pop_back();
  }
  records_[slot] = {t, line_of(t).push({now, next_sequence_++, slot})};
  slots_.emplace(t.id, slot);
  deadlines_.insert(slot, t.deadline);
  ++sizes_[static_cast<std::size_t>(t.work)];
  ++size_;
}

void waiting_tickets::remove(ticket_id id) {
  auto slot = slots_.at(id);
  deadlines_.remove(slot, records_[slot].t.deadline);
  take_out(slot);
}

std::optional<waiting_ticket> waiting_tickets::take_next(time_point now) {
  if (size_ == 0) return std::nullopt;
  std::size_t work = 0;
  while (sizes_[work] == 0) ++work;
  const auto entry = *next_in(work, now);
  const auto t = records_[entry.slot].t;
  deadlines_.remove(entry.slot, t.deadline);
  take_out(entry.slot);
  return waiting_ticket{t, entry.arrival};
}

std::vector<ticket> waiting_tickets::take_due(time_point now) {
  std::vector<ticket> due;
  if (deadlines_.next() > now) return due;
  for (auto slot : deadlines_.take_due(now)) {
    due.push_back(records_[slot].t);
    take_out(slot);
  }
  return due;
}

std::optional<std::uint32_t> waiting_tickets::position(ticket_id id, time_point now) const {
  auto found = slots_.find(id);
  if (found == slots_.end()) return std::nullopt;
  const auto& r = records_[found->second];
  auto work = static_cast<std::size_t>(r.t.work);
  auto level = static_cast<std::size_t>(r.t.level);
  auto own = urgency_of(lines_[work][level].at(r.position), level, now);
  std::uint32_t ahead = 0;
  for (std::size_t w = 0; w < work; ++w) ahead += sizes_[w];
  for (std::size_t l = 0; l < priority_count; ++l) {
    ahead += lines_[work][l].count_while(
        [&](const line_entry& entry) { return urgency_of(entry, l, now) < own; });
  }
  return ahead + 1;
}

time_point waiting_tickets::oldest_arrival() const {
  auto oldest = never;
  for (const auto& levels : lines_) {
    for (const auto& line : levels) {
      if (!line.empty()) oldest = std::min(oldest, line.front().arrival);
    }
  }
  return oldest;
}

waiting_tickets::urgency waiting_tickets::urgency_of(const line_entry& entry, std::size_t level,
                                                     time_point now) const {
  auto raised = (now - entry.arrival) / max_starvation_;
  auto base = static_cast<std::int64_t>(level);
  return {static_cast<std::uint32_t>(base - std::min<std::int64_t>(base, raised)), entry.sequence};
}

// Inside one line urgency only falls from front to end, so that the fronts are all there is to
// compare.
const line_entry* waiting_tickets::next_in(std::size_t work, time_point now) const {
  const line_entry* best = nullptr;
  urgency best_urgency{};
  for (std::size_t level = 0; level < priority_count; ++level) {
    const auto& line = lines_[work][level];
    if (line.empty()) continue;
    auto candidate = urgency_of(line.front(), level, now);
    if (best == nullptr || candidate < best_urgency) {
      best = &line.front();
      best_urgency = candidate;
    }
  }
  return best;
}

// Out of its line and the map; the deadline is the caller's.
void waiting_tickets::take_out(std::uint32_t slot) {
  const auto& r = records_[slot];
  auto& line = line_of(r.t);
  line.remove(r.position);
  if (line.sparse()) {
    line.compact([this](std::uint32_t moved, std::uint64_t to) { records_[moved].position = to; });
  }
  slots_.erase(r.t.id);
  unused_.push_back(slot);
  --sizes_[static_cast<std::size_t>(r.t.work)];
  --size_;
}

}  // namespace signalbox::scheduling
