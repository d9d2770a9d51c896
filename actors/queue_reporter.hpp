// Writes to the status board how long a queue is, seldom enough: a queue changes with every
// request, and the board is shared. What is not written yet follows when the queue asks again, at
// the time it is told.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "actors/status_board.hpp"

namespace signalbox {

struct queue_figures {
  std::uint32_t waiting = 0, in_use = 0, units = 0;  // as in queue_status

  bool operator==(const queue_figures&) const = default;
};

class queue_reporter {
 public:
  static constexpr duration gap = std::chrono::milliseconds(250);

  queue_reporter(status_board& board, std::string model)
      : board_(board), model_(std::move(model)) {}

  // Writes what is new, and returns when to come again: `never` when the board has it. That
  // somebody waits, or nobody any more, is written at once, but that too only once in a gap.
  time_point report(const queue_figures& figures, time_point now) {
    if (written_ && figures == *written_) return never;
    const bool is_turn = written_ && (figures.waiting == 0) != (written_->waiting == 0);
    const auto due = is_turn ? next_turn_ : next_;
    if (now < due) return due;
    board_.queue_changed({model_, figures.waiting, figures.in_use, figures.units});
    written_ = figures;
    next_ = now + gap;
    if (is_turn) next_turn_ = next_;
    return never;
  }

 private:
  status_board& board_;
  const std::string model_;
  std::optional<queue_figures> written_;
  time_point next_{}, next_turn_{};
};

}  // namespace signalbox
