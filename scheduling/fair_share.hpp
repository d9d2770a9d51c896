// Which principal goes next: the virtual token counter of "Fairness in Serving Large Language
// Models" (Sheng et al., OSDI 2024), with weights. One object for each class of work of a model.
// Part of admission.
//
// 1. A counter holds what its principal was served in this class: weighted tokens, divided by its
//    weight. Among those who wait at one priority the smallest goes first; between equals, and
//    hence inside one principal, arrival.
// 2. Who begins to wait and had nothing waiting is lifted to the smallest counter at that priority:
//    time without demand is no credit. Where nobody waits it is lifted to the *floor*, the counter
//    at which somebody was last served. (What it has in flight does not spare it: a principal that
//    always has a little in flight would else save up credit for hours.)
// 3. A permit is charged an estimate as it is given, and corrected when its usage is known. What
//    was taken by credit is charged as soon as its shard tells of it, and lifted as if it had
//    waited.
//
// The bound: with f and g waiting at one priority all the while, f is served only while its counter
// is no greater than g's, so that it passes g's by one estimate and by the corrections of what it
// has in flight. Service over weight of the two then differs, over any such time, by at most twice
// the larger of (w_p × longest prompt) and (w_q × tokens in flight), over the smaller weight (the
// paper's theorem 4.4, with w_q at least w_p). The paper charges each token as it is made; here the
// estimates of requests in flight count as tokens in flight. A counter for each class, not one for
// all: batch work that waits for hours would hold the floor of realtime down, and lifting to
// realtime's floor would push a principal back in batch. A principal that asks at several
// priorities has one counter for all of them.
//
// What is kept: an account for each principal that waits or has something in flight. Any other is
// remembered while its counter is above the floor, and forgotten after that: it would be lifted to
// the floor anyway, so nothing is lost. While there are more than `most_accounts`, they are
// forgotten as soon as they are idle, and come back at the floor: ahead by what a principal can be
// above it, which is half the bound, and once in so many principals served.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "scheduling/admission.hpp"
#include "scheduling/principal_heap.hpp"
#include "scheduling/slot_index.hpp"

namespace signalbox::scheduling {

// A ticket that waits, in one slab for all classes. Refers to others by their slot.
struct alignas(64) waiting_record {
  static constexpr std::uint32_t none = 0xffffffff;

  ticket_id id = 0;
  time_point deadline = never;
  time_point arrival{};
  std::uint64_t sequence = 0;       // over all tickets: the order of arrival
  std::uint64_t line_position = 0;  // in its ticket_line
  std::uint32_t previous = none;    // of the same principal at the same priority
  std::uint32_t next = none;
  std::uint32_t account = none;  // of its principal, in the fair_share of its class
  std::uint32_t own_number = 0;  // counts the principal's tickets at this priority
  float estimate = 0;            // of its cost, weighted tokens
  shard_id shard = 0;
  work_class work = work_class::realtime;
  priority level = priority::normal;
};
using waiting_records = std::vector<waiting_record>;

class fair_share {
 public:
  static constexpr std::size_t most_accounts = 1 << 17;

  void add(std::uint32_t slot, const ticket& t, waiting_records& records);
  // Without a charge: what is granted is charged then, by charge().
  void remove(std::uint32_t slot, waiting_records& records);
  // The account's request goes to a shard; what it was charged, in weighted tokens.
  service_charge charge(std::uint32_t account, work_class work, double estimate);
  void count(const principal_service& service);

  bool empty(priority level) const { return heap(level).empty(); }
  // Who goes next at this priority, and with which ticket. Not when empty.
  const heap_entry& next(priority level) const { return heap(level).top(); }
  std::size_t principals(priority level) const { return heap(level).size(); }
  // About how many tickets of the same priority go before this one: as if its principal asked for
  // as much each time, and each of the others for as much as is usual.
  std::uint32_t ahead(std::uint32_t slot, const waiting_records& records) const;

  std::size_t accounts() const { return by_principal_.size(); }

 private:
  static constexpr std::uint32_t none = waiting_record::none;

  struct own_line {  // the tickets of one principal at one priority
    std::uint32_t first = none;
    std::uint32_t last = none;
    std::uint32_t waiting = 0;
    std::uint32_t pushed = 0;  // ever
    std::uint32_t place = 0;   // in the heap, while it waits
  };
  struct account {
    std::uint32_t principal = 0;
    std::uint32_t waiting = 0;    // tickets, of any priority
    std::uint32_t in_flight = 0;  // charged, not corrected yet
    bool used = false;
    double counter = 0;
    double weight = 1;
    std::array<own_line, priority_count> lines{};

    bool is_idle() const { return used && waiting == 0 && in_flight == 0; }
  };
  // The principals at one priority by how many tickets they have, in powers of two: what ahead()
  // adds up.
  struct size_group {
    std::uint32_t principals = 0;
    std::uint32_t tickets = 0;
  };
  using size_groups = std::array<size_group, 33>;

  const principal_heap& heap(priority level) const {
    return heaps_[static_cast<std::size_t>(level)];
  }
  std::uint32_t account_of(std::uint32_t principal);
  bool nobody_waits() const;
  void lift(account& a, std::size_t level);
  void add_to_counter(std::uint32_t number, double cost);
  void rekey(const heap_entry& entry, std::size_t level);
  void regroup(std::size_t level, std::uint32_t from, std::uint32_t to);
  void forget_some();
  auto placer(std::size_t level) {
    return [this, level](std::uint32_t number, std::uint32_t place) {
      accounts_[number].lines[level].place = place;
    };
  }

  double floor_ = 0;
  double mean_charge_ = 0;  // over the weight; EWMA; 0: none yet
  std::array<principal_heap, priority_count> heaps_;
  std::array<size_groups, priority_count> groups_{};
  std::vector<account> accounts_;
  std::vector<std::uint32_t> unused_;       // of `accounts_`
  slot_index<std::uint32_t> by_principal_;  // to its account
  std::size_t hand_ = 0;                    // where forget_some() goes on
};

}  // namespace signalbox::scheduling
