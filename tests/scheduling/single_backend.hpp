// Admission with one backend, for tests in which it does not matter that there could be several.
#pragma once

#include "scheduling/admission.hpp"

namespace signalbox::scheduling {

struct single_backend_limits {
  std::uint32_t max_concurrent = 1;
  std::uint32_t max_waiting = 0;
  duration max_starvation = std::chrono::seconds(30);
};

class single_backend : public admission {
 public:
  static constexpr backend_id backend = 1;

  explicit single_backend(const single_backend_limits& limits)
      : admission({limits.max_concurrent, limits.max_waiting, limits.max_starvation}),
        units_(limits.max_concurrent) {}

  admission_effects attach_shard(shard_id shard, std::uint32_t in_use, time_point now) {
    const backend_units units{backend, in_use};
    return admission::attach_shard(shard, {&units, 1}, now);
  }
  admission_effects open(time_point now) { return admission::open(backend, units_, now); }
  admission_effects close(time_point now) { return admission::close(backend, now); }
  admission_effects give_back(shard_id shard, std::uint32_t units, time_point now) {
    return admission::give_back(shard, backend, units, now);
  }
  void report(shard_id shard, std::uint32_t in_use, std::uint32_t ended, duration service,
              time_point now) {
    admission::report(shard, {.backend = backend, .ended = ended, .in_use = {in_use}}, now);
    count_settled({.completed = ended, .service = service});
  }
  std::uint32_t in_use() const { return total(admission::in_use()); }

 private:
  std::uint32_t units_;
};

}  // namespace signalbox::scheduling
