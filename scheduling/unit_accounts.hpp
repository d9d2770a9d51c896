// Where the units of one model are: free here, or out at a shard as credits or inside permits; and
// when a shard is stocked with credits and when they are recalled. Part of admission.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduling/admission.hpp"

namespace signalbox::scheduling {

class unit_accounts {
 public:
  explicit unit_accounts(std::uint32_t units) : units_(units), free_(units) {}

  void attach(shard_id shard, std::uint32_t in_use);    // replaces what was known of it
  void grant(shard_id shard);                           // one free unit goes out inside a permit
  void give_back(shard_id shard, std::uint32_t units);  // clamped to what it holds
  void report(shard_id shard, std::uint32_t in_use);
  void recall(admission_effects& out);
  void stock(admission_effects& out);

  bool has_free() const { return free_ > 0; }
  std::uint64_t held() const { return held_; }
  std::uint32_t in_use() const;
  // Units that lie idle as credits and will come back when somebody waits: room that is not visible
  // in has_free() yet.
  std::uint32_t returning() const;

 private:
  // A shard starts without credits: it returns each unit as it ends.
  struct account {
    shard_id id;
    std::uint32_t held = 0;
    std::uint32_t in_use = 0;     // last report, and what was granted since; only while stocked
    bool attached = false;        // introduced itself: may be stocked
    bool stocked = false;         // keeps a unit when its permit ends
    bool recall_pending = false;  // recalled, and nothing came back yet
  };

  account& of(shard_id id);

  std::uint32_t units_;
  std::int64_t free_;  // below 0 while shards hold units of an earlier life beyond the limit
  std::uint64_t held_ = 0;
  std::vector<account> accounts_;  // a handful
};

}  // namespace signalbox::scheduling
