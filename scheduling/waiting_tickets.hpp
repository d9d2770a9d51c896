// The tickets that wait for one model, with their order, their positions and their deadlines. They
// lie in one slab. The structures that order them refer to its slots: the twelve lines (class ×
// priority) in order of arrival, the principals of each class, and the deadlines. Part of
// admission.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "scheduling/admission.hpp"
#include "scheduling/deadline_index.hpp"
#include "scheduling/fair_share.hpp"
#include "scheduling/slot_index.hpp"
#include "scheduling/ticket_line.hpp"

namespace signalbox::scheduling {

// A ticket that left the queue without a permit.
struct taken_ticket {
  ticket_id id;
  shard_id shard;
};
// A ticket that left the queue with a permit.
struct granted_ticket {
  ticket_id id;
  shard_id shard;
  service_charge charge;
  queue_place place;
};

// The waiting tickets of one model. `now` must not decrease from one call to the next.
class waiting_tickets {
 public:
  explicit waiting_tickets(duration max_starvation) : max_starvation_(max_starvation) {}

  void set_max_starvation(duration value) { max_starvation_ = value; }
  // Its id must be new, and its place, if it has one, must be from this life of the queue.
  // `deadline` is used instead of the ticket's.
  void add(const ticket& t, time_point deadline, time_point now);
  bool contains(ticket_id id) const { return slots_.find(id) != slots_.none; }
  void remove(ticket_id id);  // its id must be known
  // These two must not be called when empty. grant_next() charges the ticket to its principal.
  granted_ticket grant_next(time_point now);
  taken_ticket take_next(time_point now);
  std::vector<taken_ticket> take_due(time_point now);  // past their deadline, earliest first
  std::vector<taken_ticket> take_impatient();          // in no order
  void count_service(const principal_service& s) { shares_[index_of(s.work)].count(s); }

  std::uint32_t size() const { return size_; }
  std::uint32_t size(work_class work) const { return sizes_[index_of(work)]; }
  std::optional<std::uint32_t> position(ticket_id id, time_point now) const;  // 1: next
  time_point oldest_arrival() const;                                          // `never` if none
  time_point oldest_arrival(work_class work) const;
  time_point next_deadline() const { return deadlines_.next(); }

 private:
  using class_lines = std::array<ticket_line, priority_count>;

  static time_point oldest_of(const class_lines& levels);
  static std::size_t index_of(priority value) { return static_cast<std::size_t>(value); }
  static std::size_t index_of(work_class value) { return signalbox::index_of(value); }
  ticket_line& line_of(const waiting_record& r) {
    return lines_[index_of(r.work)][index_of(r.level)];
  }
  std::uint32_t take_slot();
  queue_place place_of(const ticket& t, time_point now);
  std::int64_t level_of(time_point arrival, std::size_t level, time_point now) const;
  std::uint32_t next_slot(time_point now) const;
  void take_out(std::uint32_t slot);

  duration max_starvation_;
  std::array<class_lines, work_class_count> lines_;
  std::array<fair_share, work_class_count> shares_;
  std::array<std::uint32_t, work_class_count> sizes_{};
  std::uint32_t size_ = 0;
  std::uint64_t last_sequence_ = 0;
  waiting_records records_;
  std::vector<std::uint32_t> unused_;  // free slots of `records_`
  ticket_index slots_;
  deadline_index deadlines_;
};

}  // namespace signalbox::scheduling
