// What a queue tells clients of the time that they will wait.
#include <algorithm>
#include <chrono>

#include "scheduling/model_queue.hpp"

namespace signalbox::scheduling {

using namespace std::chrono_literals;

void model_queue::answer_place_queries(const shard_batch& batch, time_point now) {
  for (const auto id : batch.place_queries) {
    const auto place = admission_.place(id, now);
    if (!place) continue;
    out_.push_back(tell_place{batch.shard, id, place->position, place->estimate + delay_now(now)});
  }
}

duration model_queue::retry_after(const refusal_in_force& why, time_point now) const {
  if (why.spares_patient) return std::max<duration>(1s, delay_now(now));
  return why.until == never ? duration::zero() : why.until - now;
}

// The time that a ticket waits beside the measured service of those before it: until the first of
// the backends can be ready or, while one is open, what the next end of a request is overdue by.
duration model_queue::delay_now(time_point now) const {
  if (admission_.is_open()) {
    const auto since = std::max(progress_at_, std::min(admission_.oldest_wait_since(), now));
    return std::max(duration::zero(), now - since - admission_.mean_service());
  }
  auto rest = duration::max();
  for (const auto& b : backends_) rest = std::min(rest, rest_of_load(b, now));
  return rest == duration::max() ? options_.expected_load : rest;
}

// An estimate that is over grows: what it is over by will probably pass once more.
duration model_queue::rest_of_load(const backend& b, time_point now) const {
  if (b.ready_at != never) return std::chrono::abs(b.ready_at - now);
  const auto waited = now - std::min(awaited_since_, now);
  return std::max(b.expected_load, waited - b.expected_load);
}

void model_queue::note_waits(time_point now) {
  const bool is_awaited = !admission_.is_open() && is_wanted(now);
  awaited_since_ = is_awaited ? std::min(awaited_since_, now) : never;
}

}  // namespace signalbox::scheduling
