#include <algorithm>
#include <utility>

#include "scheduling/lease_arbiter.hpp"

namespace signalbox::scheduling {

arbiter_effects lease_arbiter::adopt(const lease_request& request, const gpu_set& gpus,
                                     time_point now) {
  const auto holder = request.holder;
  if (leases_.contains(holder) || pending_.contains(holder)) return {};
  const bool is_there = std::all_of(gpus.begin(), gpus.end(), [this](const gpu_share& share) {
    return share.gpu < options_.gpu_memory.size() &&
           share.memory <= options_.gpu_memory[share.gpu] - used_memory(share.gpu);
  });
  if (gpus.empty() || !is_there) return {lease_refusal{holder, refusal::does_not_fit}};
  arbiter_effects out{lease_grant{holder, ++last_token_, gpus, swap_rule::room}};
  leases_.emplace(holder, lease{request, last_token_, gpus, now});
  const auto others = decide(now);  // deadlines change with the new lease
  out.insert(out.end(), others.begin(), others.end());
  return out;
}

}  // namespace signalbox::scheduling
