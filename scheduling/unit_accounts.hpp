// Keeps account of the units of one model. Each backend has a pool of units, which are free here or
// out at a shard, as credits or inside permits. It decides when shards are stocked with credits and
// when these are recalled. Part of admission.
//
// Invariant of each pool: free + sum of held(shard) == units.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scheduling/admission.hpp"

namespace signalbox::scheduling {

// The pools of all backends of one model.
class unit_accounts {
 public:
  // Replaces all that was known of the shard. It holds the units `in_use` and no credits.
  void attach(shard_id shard, std::span<const backend_units> in_use, time_point now);
  void open(backend_id backend, std::uint32_t units, admission_effects& out);
  // Recalls the backend's credits, and forgets its pool when the last unit is back.
  void close(backend_id backend, admission_effects& out);
  // Recalls credits when more units are out than that. Ignored when unknown.
  void set_units(backend_id backend, std::uint32_t units, admission_effects& out);

  // Gives the shard a free unit of the least loaded backend for a permit. There must be a free
  // unit.
  backend_id grant(shard_id shard, work_class work);
  void give_back(shard_id shard, backend_id backend, std::uint32_t units,
                 time_point now);  // at most what it holds counts
  void report(shard_id shard, const backend_report& report, time_point now);
  void recall(admission_effects& out);  // recalls all credits
  void stock(admission_effects& out);

  bool is_open() const { return open_pools_ > 0; }
  bool is_open(backend_id backend) const;
  bool has_free() const { return free_ > 0; }
  std::uint64_t free() const { return free_; }  // units that can be granted
  std::uint64_t units() const;                  // of open backends
  std::uint64_t held() const;
  std::uint32_t held(backend_id backend) const;
  bool is_in_use() const;
  class_counts in_use() const;
  class_counts in_use(backend_id backend) const;
  // Tells whether a shard has said, last, that requests are in flight there.
  bool is_said_in_use(backend_id backend) const;
  time_point last_active(backend_id backend, time_point now) const;  // time_point{}: never used
  // Units that are idle credits and come back when a ticket waits. free() does not count them.
  std::uint32_t returning() const;
  const std::vector<shard_id>& shards() const { return attached_; }

 private:
  // One shard's units of one backend. A shard starts without credits and returns each unit when its
  // request ends.
  struct account {
    shard_id shard;
    std::uint32_t held = 0;
    class_counts in_use{};        // as last reported, plus permits granted since
    bool stocked = false;         // the shard keeps a unit when its permit ends
    bool recall_pending = false;  // recalled, and no unit came back yet

    class_counts in_use_now() const;
  };
  struct pool {
    backend_id backend = 0;
    std::uint32_t units = 0;
    std::int64_t free = 0;  // below 0 while shards hold more than `units`
    bool is_open = false;
    time_point last_active{};         // before the last change of what is in use
    std::vector<account> accounts{};  // a handful

    account& of(shard_id shard);
    class_counts in_use() const;
    bool is_in_use() const;
    void note_use(time_point now);  // call it before a change of what is in use
    bool has_free() const { return is_open && free > 0; }
  };

  template <class Pools>
  static auto* find(Pools& pools, backend_id backend);
  pool& pool_of(backend_id backend);
  void forget_if_over(backend_id backend);
  void count_free();  // after each change of free units
  void recall(pool& p, admission_effects& out);
  void give_credits_to(shard_id shard, pool& p, std::int64_t count, admission_effects& out);

  std::vector<pool> pools_;         // one for each backend: a handful
  std::vector<shard_id> attached_;  // shards that introduced themselves
  std::size_t open_pools_ = 0;
  // Sums that each event asks for several times.
  std::uint64_t free_ = 0;     // of open pools
  std::uint32_t stocked_ = 0;  // accounts
};

}  // namespace signalbox::scheduling
