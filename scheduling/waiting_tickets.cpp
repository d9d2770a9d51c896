#include "scheduling/waiting_tickets.hpp"

#include <algorithm>
#include <cassert>
#include <tuple>

namespace signalbox::scheduling {

void waiting_tickets::add(const ticket& t, time_point deadline, time_point now) {
  const auto slot = take_slot();
  auto& r = records_[slot];
  r.id = t.id;
  r.deadline = deadline;
  r.place = place_of(t, now);
  r.shard = t.shard;
  r.work = t.work;
  r.level = t.level;
  r.is_patient = t.is_patient;
  if (t.place) {
    line_of(r).put_back({r.place, slot});
    r.line_position = waiting_record::beside_line;
  } else {
    r.line_position = line_of(r).push({r.place, slot});
  }
  shares_[index_of(t.work)].add(slot, t, records_);
  slots_.insert(t.id, slot);
  deadlines_.insert(slot, deadline);
  ++sizes_[index_of(t.work)];
  ++size_;
}

std::uint32_t waiting_tickets::take_slot() {
  if (unused_.empty()) {
    records_.emplace_back();
    return static_cast<std::uint32_t>(records_.size() - 1);
  }
  const auto slot = unused_.back();
  unused_.pop_back();
  return slot;
}

// At the end, unless it returns.
queue_place waiting_tickets::place_of(const ticket& t, time_point now) {
  if (!t.place) return {now, ++last_sequence_};
  assert(t.place->sequence <= last_sequence_);
  const auto sequence = t.place->sequence == 0 ? ++last_sequence_ : t.place->sequence;
  return {std::min(t.place->arrival, now), sequence};
}

void waiting_tickets::remove(ticket_id id) {
  auto slot = slots_.find(id);
  deadlines_.remove(slot, records_[slot].deadline);
  take_out(slot);
}

granted_ticket waiting_tickets::grant_next(time_point now) {
  const auto slot = next_slot(now);
  const auto r = records_[slot];
  deadlines_.remove(slot, r.deadline);
  take_out(slot);
  const auto charge = shares_[index_of(r.work)].charge(r.account, r.work, r.estimate);
  return {r.id, r.shard, charge, r.place};
}

taken_ticket waiting_tickets::take_next(time_point now) {
  const auto slot = next_slot(now);
  const auto& r = records_[slot];
  const taken_ticket taken{r.id, r.shard};
  deadlines_.remove(slot, r.deadline);
  take_out(slot);
  return taken;
}

std::vector<taken_ticket> waiting_tickets::take_due(time_point now) {
  std::vector<taken_ticket> due;
  if (deadlines_.next() > now) return due;
  for (auto slot : deadlines_.take_due(now)) {
    due.push_back({records_[slot].id, records_[slot].shard});
    take_out(slot);
  }
  return due;
}

std::vector<taken_ticket> waiting_tickets::take_impatient() {
  std::vector<taken_ticket> taken;
  for (std::uint32_t slot = 0; slot < records_.size(); ++slot) {
    const auto& r = records_[slot];
    const bool is_in_use = slots_.find(r.id) == slot;
    if (is_in_use && !r.is_patient) taken.push_back({r.id, r.shard});
  }
  for (const auto& t : taken) remove(t.id);
  return taken;
}

// Tickets of other priorities that count as equal are compared by arrival instead of fair share.
std::optional<std::uint32_t> waiting_tickets::position(ticket_id id, time_point now) const {
  const auto slot = slots_.find(id);
  if (slot == slots_.none) return std::nullopt;
  const auto& r = records_[slot];
  const auto work = index_of(r.work), own_level = index_of(r.level);
  const auto& share = shares_[work];
  const auto own = std::tuple(level_of(r.place.arrival, own_level, now), r.place);
  std::uint32_t ahead = 0;
  for (std::size_t w = 0; w < work; ++w) ahead += sizes_[w];
  for (std::size_t level = 0; level < priority_count; ++level) {
    if (level == own_level && share.principals(r.level) > 1) {
      ahead += share.ahead(slot, records_);
      continue;
    }
    ahead += lines_[work][level].count_while([&](const line_entry& entry) {
      return std::tuple(level_of(entry.place.arrival, level, now), entry.place) < own;
    });
  }
  return ahead + 1;
}

time_point waiting_tickets::oldest_arrival() const {
  auto oldest = never;
  for (const auto& levels : lines_) oldest = std::min(oldest, oldest_of(levels));
  return oldest;
}

time_point waiting_tickets::oldest_arrival(work_class work) const {
  return oldest_of(lines_[index_of(work)]);
}

time_point waiting_tickets::oldest_of(const class_lines& levels) {
  auto oldest = never;
  for (const auto& line : levels) {
    if (!line.empty()) oldest = std::min(oldest, line.front().place.arrival);
  }
  return oldest;
}

// The priority that `level` counts as when its oldest ticket came at `arrival`.
std::int64_t waiting_tickets::level_of(time_point arrival, std::size_t level,
                                       time_point now) const {
  const auto base = static_cast<std::int64_t>(level);
  return base - std::min<std::int64_t>(base, (now - arrival) / max_starvation_);
}

// Chooses 1. the most urgent class, 2. the priority that counts as the most urgent, 3. the
// principal with the smallest counter, 4. the earliest arrival.
std::uint32_t waiting_tickets::next_slot(time_point now) const {
  assert(size_ > 0);
  std::size_t work = 0;
  while (sizes_[work] == 0) ++work;
  const heap_entry* best = nullptr;
  std::uint32_t slot = 0;
  std::int64_t best_level = 0;
  for (std::size_t level = 0; level < priority_count; ++level) {
    const auto& line = lines_[work][level];
    if (line.empty()) continue;
    const auto& next = shares_[work].next(static_cast<priority>(level));
    const auto counts_as = level_of(line.front().place.arrival, level, now);
    if (best == nullptr || counts_as < best_level ||
        (counts_as == best_level && next.goes_before(*best))) {
      best = &next;
      slot = next.slot;
      best_level = counts_as;
    }
  }
  return slot;
}

// Takes a ticket out of its line, its principal's account and the map. The caller removes the
// deadline.
void waiting_tickets::take_out(std::uint32_t slot) {
  const auto& r = records_[slot];
  auto& line = line_of(r);
  if (r.is_returned()) {
    line.remove_returned(r.place);
  } else {
    line.remove(r.line_position);
  }
  if (line.sparse()) {
    line.compact(
        [this](std::uint32_t moved, std::uint64_t to) { records_[moved].line_position = to; });
  }
  shares_[index_of(r.work)].remove(slot, records_);
  slots_.erase(r.id);
  unused_.push_back(slot);
  --sizes_[index_of(r.work)];
  --size_;
}

}  // namespace signalbox::scheduling
