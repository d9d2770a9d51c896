// The tickets that wait for one model: the order they are granted in, where each one stands, and
// their deadlines. They lie in one slab; the twelve lines (class × priority) and the deadlines
// refer to them by slot. Part of admission.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "scheduling/admission.hpp"
#include "scheduling/deadline_index.hpp"
#include "scheduling/ticket_line.hpp"

namespace signalbox::scheduling {

struct waiting_ticket {
  ticket t;
  time_point arrival;
};

// `now` must not go back from one call to the next.
class waiting_tickets {
 public:
  explicit waiting_tickets(duration max_starvation) : max_starvation_(max_starvation) {}

  void add(const ticket& t, time_point now);  // its id must be unknown
  bool contains(ticket_id id) const { return slots_.contains(id); }
  void remove(ticket_id id);  // its id must be known
  std::optional<waiting_ticket> take_next(time_point now);
  std::vector<ticket> take_due(time_point now);  // the deadline has passed; earliest first

  std::uint32_t size() const { return size_; }
  std::uint32_t size(work_class work) const { return sizes_[static_cast<std::size_t>(work)]; }
  std::optional<std::uint32_t> position(ticket_id id, time_point now) const;  // 1: next
  time_point oldest_arrival() const;                                          // `never` if none
  time_point next_deadline() const { return deadlines_.next(); }

 private:
  struct record {
    ticket t;
    std::uint64_t position = 0;  // in its line
  };
  // The key that tickets of one class are granted by.
  struct urgency {
    std::uint32_t level;
    std::uint64_t sequence;
    auto operator<=>(const urgency&) const = default;
  };

  ticket_line& line_of(const ticket& t) {
    return lines_[static_cast<std::size_t>(t.work)][static_cast<std::size_t>(t.level)];
  }
  urgency urgency_of(const line_entry& entry, std::size_t level, time_point now) const;
  const line_entry* next_in(std::size_t work, time_point now) const;
  void take_out(std::uint32_t slot);

  duration max_starvation_;
  std::array<std::array<ticket_line, priority_count>, work_class_count> lines_;
  std::array<std::uint32_t, work_class_count> sizes_{};
  std::uint32_t size_ = 0;
  std::uint64_t next_sequence_ = 0;
  std::vector<record> records_;
  std::vector<std::uint32_t> unused_;  // slots of `records_`
  std::unordered_map<ticket_id, std::uint32_t> slots_;
  deadline_index deadlines_;
};

}  // namespace signalbox::scheduling
