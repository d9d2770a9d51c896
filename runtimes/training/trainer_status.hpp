// What a trainer says of itself. The contract is a file `status.json` in the checkpoint's folder:
//   {"state": "training", "time": 1769672107.34, …}
// `state` is training, finished, saved (the answer to a checkpoint signal: it may be killed), or
// any other word, which means nothing to us. `time` is any number that changes while it works. All
// other members are the trainer's. A trainer without that may touch a heartbeat file instead, whose
// time of modification is its `time`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "scheduling/training.hpp"

namespace signalbox::runtimes {

inline constexpr std::size_t max_status_bytes = 64 * 1024;
inline constexpr int max_status_depth = 16;  // of objects and arrays in it

struct trainer_status {
  scheduling::training_word word = scheduling::training_word::unreadable;
  std::optional<double> time{};
  std::string json{};   // the object as it is written, on one line; empty if it cannot be read
  std::string error{};  // why it cannot be read, for people; without a path
};

// Never throws. A text that is no whole object within the limits has an error; a member that is
// missing or of another type is as good as not there.
trainer_status parse_status(std::string_view text);

// The status of a heartbeat at this time, in seconds since 1970.
trainer_status heartbeat_at(double time);

trainer_status unreadable_status(std::string why);

}  // namespace signalbox::runtimes
