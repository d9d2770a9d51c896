#include "actors/backend_options.hpp"

#include "actors/shell.hpp"

namespace signalbox {
namespace {

constexpr duration driver_margin = std::chrono::seconds(5);

}  // namespace

bool is_kept_ready(const config::model_options& m) {
  return m.residency == config::residency::pinned || m.driver == config::driver_kind::external;
}

scheduling::lifecycle_options lifecycle_of(const config::settings& s,
                                           const config::model_options& m) {
  scheduling::lifecycle_options o;
  o.needs_lease = needs_lease(m);
  // The driver has the same limit and should report it first, because it has the output to log.
  o.start_timeout = from_seconds(m.start_timeout_s) + driver_margin;
  o.stop_grace = from_seconds(m.stop_grace_s);
  o.drain_timeout = from_seconds(m.drain_timeout_s);
  o.silence = from_seconds(m.first_byte_timeout_s);
  o.pinned = is_kept_ready(m);
  o.external = m.driver == config::driver_kind::external;
  o.idle_unload = is_kept_ready(m) ? duration::zero() : from_seconds(m.idle_unload_s);
  o.backoff = from_seconds(s.scheduling.load_backoff_s);
  o.max_backoff = from_seconds(s.scheduling.load_backoff_max_s);
  o.load_attempts = s.scheduling.load_attempts;
  o.expected_load = from_seconds(m.expected_load_s);
  return o;
}

scheduling::gpu_need need_of(const config::model_options& m) {
  if (m.residency == config::residency::exclusive) return scheduling::whole_machine;
  return {m.gpu_memory, 1};
}

}  // namespace signalbox
