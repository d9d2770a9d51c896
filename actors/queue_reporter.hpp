// Writes the figures of a queue to the status board, and not too often: a queue changes with every
// request, and the board is shared. When report() writes nothing yet, it returns the time at which
// to call it again.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "actors/status_board.hpp"

namespace signalbox {

// The figures of one queue.
struct queue_figures {
  std::uint32_t waiting = 0, in_use = 0, units = 0;  // as in queue_status

  bool operator==(const queue_figures&) const = default;
};

// Reports the figures of one queue.
class queue_reporter {
 public:
  static constexpr duration gap = std::chrono::milliseconds(250);

  queue_reporter(status_board& board, std::string model)
      : board_(board), model_(std::move(model)) {}

  // Writes new figures, or returns the time at which to call it again; `never` means that the board
  // has them. A change between "nobody waits" and "somebody waits" is written at once, but at most
  // once in a gap.
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

  // The next report() writes, whatever it did before.
  void write_again() { written_.reset(); }

 private:
  status_board& board_;
  const std::string model_;
  std::optional<queue_figures> written_;
  time_point next_{}, next_turn_{};
};

}  // namespace signalbox
