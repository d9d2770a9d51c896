// Where the units of one model are: a pool for each backend, whose units are free here, or out at a
// shard as credits or inside permits. Decides when shards are stocked with credits and when these
// are recalled. Part of admission.
//
// Invariant of each pool: free + sum of held(shard) == units.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scheduling/admission.hpp"

namespace signalbox::scheduling {

class unit_accounts {
 public:
  // Replaces what was known of the shard: it holds these units of an earlier life, and no credits.
  void attach(shard_id shard, std::span<const backend_units> in_use);
  void open(backend_id backend, std::uint32_t units);
  // Recalls the credits of the backend. Its pool is forgotten when the last unit is back.
  void close(backend_id backend, admission_effects& out);
  void set_units(backend_id backend, std::uint32_t units);  // nothing when it is unknown

  // A free unit of the least loaded backend goes out inside a permit. There must be one.
  backend_id grant(shard_id shard, work_class work);
  void give_back(shard_id shard, backend_id backend,
                 std::uint32_t units);  // clamped to what it holds
  void report(shard_id shard, const backend_report& report, time_point now);
  void recall(admission_effects& out);  // all credits
  void stock(admission_effects& out);
  void touch(time_point now);  // backends with something in use are active now

  bool is_open() const { return open_pools_ > 0; }
  bool is_open(backend_id backend) const;
  bool has_free() const;
  std::uint64_t units() const;  // of open backends
  std::uint64_t held() const;
  std::uint32_t held(backend_id backend) const;
  bool is_in_use() const;
  class_counts in_use() const;
  class_counts in_use(backend_id backend) const;
  time_point last_active(backend_id backend) const;  // never in use: the beginning of time
  // Units that lie idle as credits and will come back when somebody waits: room that is not visible
  // in has_free() yet.
  std::uint32_t returning() const;
  const std::vector<shard_id>& shards() const { return attached_; }

 private:
  // One shard's units of one backend. A shard starts without credits: it returns each unit as it
  // ends.
  struct account {
    shard_id shard;
    std::uint32_t held = 0;
    class_counts in_use{};        // last report, and what was granted since
    bool stocked = false;         // keeps a unit when its permit ends
    bool recall_pending = false;  // recalled, and nothing came back yet

    class_counts in_use_now() const;
  };
  struct pool {
    backend_id backend = 0;
    std::uint32_t units = 0;
    std::int64_t free = 0;  // below 0 while shards hold more units than there are now
    bool is_open = false;
    time_point last_active{};
    std::vector<account> accounts{};  // a handful

    account& of(shard_id shard);
    class_counts in_use() const;
    bool is_in_use() const;
    bool has_free() const { return is_open && free > 0; }
  };

  template <class Pools>
  static auto* find(Pools& pools, backend_id backend);
  pool& pool_of(backend_id backend);
  void forget_if_over(backend_id backend);
  static void recall(pool& p, admission_effects& out);
  static void give_credits_to(shard_id shard, pool& p, std::int64_t count, admission_effects& out);

  std::vector<pool> pools_;         // one for each backend: a handful
  std::vector<shard_id> attached_;  // shards that introduced themselves: may be stocked
  std::size_t open_pools_ = 0;
};

}  // namespace signalbox::scheduling
