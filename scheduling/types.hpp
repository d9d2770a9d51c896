// Types that every layer shares: time, ids, classes of work. See docs/ARCHITECTURE.md.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace signalbox {

// Monotonic time. Cores in scheduling/ receive it as an argument; only shells read a clock.
using duration = std::chrono::nanoseconds;
using time_point = std::chrono::time_point<std::chrono::steady_clock, duration>;

inline constexpr time_point never = time_point::max();

// Texts, metrics and the configuration give times in seconds.
inline double to_seconds(duration value) {
  return std::chrono::duration<double>(value).count();
}
inline duration from_seconds(double value) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(value));
}

// The kind of work that a request is; the lower value goes first.
enum class work_class : std::uint8_t { realtime, batch, eval, training };
inline constexpr std::size_t work_class_count = 4;

constexpr std::size_t index_of(work_class value) {
  return static_cast<std::size_t>(value);
}

// A number for each class of work.
using class_counts = std::array<std::uint32_t, work_class_count>;

constexpr std::uint32_t total(const class_counts& counts) {
  std::uint32_t sum = 0;
  for (const auto count : counts) sum += count;
  return sum;
}

// The priority of a request within its class; the lower value goes first.
enum class priority : std::uint8_t { high, normal, low };
inline constexpr std::size_t priority_count = 3;

// The number of a configured model. The supervisor gives it out and never reuses it in a process: a
// model that is removed from the configuration and comes back has another one.
using model_index = std::uint32_t;

// The id of a ticket. The shard that holds the request makes it: (shard << 48) | sequence. It is
// never reused in a process.
using ticket_id = std::uint64_t;
using shard_id = std::uint16_t;

// The id of a backend: one startable instance of a model's runtime.
// The supervisor gives it out; it is above 0 and never reused in a process.
using backend_id = std::uint32_t;

// The id of a holder, which has a lease of GPU memory or wants one. The lease pool gives it out; it
// is above 0, never reused in the pool's life, and says nothing about models.
using holder_id = std::uint32_t;

// The kind of program that holds GPU memory; `outside` is a program that
// we did not start.
enum class holder_kind : std::uint8_t { model, training, outside };

// The token of a lease. It grows with every lease, for ever, and an older token is refused. Its
// lower 32 bits count; the upper ones are the pool's epoch (persistence/epoch_source.hpp).
using fencing_token = std::uint64_t;

// The reason why a request was not admitted. Each has one HTTP status (http/serve/error.cpp).
enum class refusal : std::uint8_t {
  queue_full,       // max_waiting tickets already wait
  deadline_passed,  // it waited as long as it may
  model_failed,     // the runtime does not start, or crashes in a loop; see the detail
  does_not_fit,     // the model needs more GPU memory than the machine has
  shutting_down,    // the gateway is shutting down
  model_removed,    // the model was removed from the configuration
};

std::string_view to_string(work_class value);
std::optional<work_class> work_class_of(std::string_view name);  // nothing: none has the name
std::string_view to_string(priority value);
std::string_view to_string(holder_kind value);
std::string_view to_string(refusal value);
std::optional<priority> parse_priority(std::string_view text);  // "high" | "normal" | "low"

}  // namespace signalbox
