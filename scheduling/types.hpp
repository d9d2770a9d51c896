// The plain words that every layer shares: time, ids, classes of work. See docs/ARCHITECTURE.md.
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

// Text, metrics and configuration give times in seconds.
inline double to_seconds(duration value) {
  return std::chrono::duration<double>(value).count();
}
inline duration from_seconds(double value) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(value));
}

// What kind of work a request is; the lower value goes first.
enum class work_class : std::uint8_t { realtime, batch, eval, training };
inline constexpr std::size_t work_class_count = 4;

constexpr std::size_t index_of(work_class value) {
  return static_cast<std::size_t>(value);
}

// How many of each class.
using class_counts = std::array<std::uint32_t, work_class_count>;

constexpr std::uint32_t total(const class_counts& counts) {
  std::uint32_t sum = 0;
  for (const auto count : counts) sum += count;
  return sum;
}

// Inside a class; the lower value goes first.
enum class priority : std::uint8_t { high, normal, low };
inline constexpr std::size_t priority_count = 3;

// A configured model. Given out by the supervisor, and never reused in a process: a model that is
// removed from the configuration and comes back has another one.
using model_index = std::uint32_t;

// Made by the shard that holds the request: (shard << 48) | sequence. Never reused in a process.
using ticket_id = std::uint64_t;
using shard_id = std::uint16_t;

// One place where a model is served: an instance that we start, or a node's share of it. Given out
// by the supervisor, above 0, and never reused in a process.
using backend_id = std::uint32_t;

// Who has a lease of GPU memory or wants one. Given out by the lease pool, above 0, and never
// reused in the pool's life; it says nothing about models.
using holder_id = std::uint32_t;

enum class holder_kind : std::uint8_t { model, training, outside };

// Grows with every lease granted, for ever; an older one is refused. Above the lower 32 bits, which
// count, stands the pool's epoch (persistence/epoch_source.hpp).
using fencing_token = std::uint64_t;

// Why a request was not admitted. Each has one HTTP status (http/serve/error.cpp).
enum class refusal : std::uint8_t {
  queue_full,       // max_waiting tickets already wait
  deadline_passed,  // it waited as long as it was willing to
  model_failed,     // the runtime does not start, or crashes in a loop; see the detail
  does_not_fit,     // it needs more GPU memory than the machine has
  shutting_down,    // the gateway drains
  model_removed,    // the configuration has it no more
};

std::string_view to_string(work_class value);
std::string_view to_string(priority value);
std::string_view to_string(holder_kind value);
std::string_view to_string(refusal value);
std::optional<priority> parse_priority(std::string_view text);  // "high" | "normal" | "low"

}  // namespace signalbox
