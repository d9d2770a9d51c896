// How a queue takes a shard_batch: the one place that knows the order, for the actor and for the
// tests that stand in for it.
#pragma once

#include <algorithm>
#include <vector>

#include "actors/messages.hpp"

namespace signalbox {

// 1. Who left makes room. 2. What was served counts before 3. what came back is free and is granted
// by it. 4. The report is as of now, so that 5. who comes is judged by it. A ticket that came and
// left in one turn is in both lists and never waited: submitted after its cancellation it would
// wait for ever. `carry_out` gets the effects of each step.
template <class CarryOut>
void apply_batch(const shard_batch& batch, scheduling::admission& to, time_point now,
                 CarryOut carry_out) {
  for (const auto id : batch.cancelled) carry_out(to.cancel(id, now));
  for (const auto& s : batch.served) to.count_service(s, now);
  if (batch.units_returned > 0) carry_out(to.give_back(batch.shard, batch.units_returned, now));
  to.report(batch.shard, batch.in_use, batch.settled.total(), batch.settled.service, now);
  auto left = batch.cancelled;
  std::sort(left.begin(), left.end());
  for (const auto& t : batch.tickets) {
    if (!std::binary_search(left.begin(), left.end(), t.id)) carry_out(to.submit(t, now));
  }
}

}  // namespace signalbox
