// Decides which principal goes next, by the virtual token counter of "Fairness in Serving Large
// Language Models" (Sheng et al., OSDI 2024), with weights added. Each class of work of a model has
// one such object. Part of admission.
//
// 1. A principal's counter is the service it had in this class: weighted tokens, divided by its
//    weight. Among principals that wait at one priority, the smallest counter goes first. Equal
//    counters go in order of arrival, and so do the tickets of one principal.
// 2. A principal that had nothing waiting and begins to wait is lifted to the smallest counter at
//    that priority, so that time without demand saves up no credit. Where nobody waits, it is
//    lifted to the *floor*, the counter at which somebody was last served. Requests in flight make
//    no exception: a principal that always has a few in flight could otherwise save up credit for
//    hours.
// 3. A permit is charged an estimate when it is granted, and corrected when its usage is known. A
//    request by credit is charged when its shard reports it, and its principal is lifted as if it
//    had waited.
// 4. A ticket that returns, because its permit was given up to make room, lifts nobody: its
//    principal did not go idle, and its charge was taken back. But the time in which all requests
//    of a principal were in flight saves up no credit for new ones. If only returned tickets of a
//    principal wait, its next new ticket lifts it by rule 2, less what these will be charged. So
//    the returned ones keep their turn, and those behind them have none saved up.
//
// The bound: while f and g both wait at one priority, f is served only while its counter is no
// greater than g's. Its counter then passes g's by at most one estimate and the corrections of its
// requests in flight. Hence over any such time the two differ in service divided by weight by at
// most twice the larger of (w_p × longest prompt) and (w_q × tokens in flight), divided by the
// smaller weight. This is the paper's theorem 4.4, for w_q at least w_p; the paper charges each
// token as it is generated, while here the estimates of requests in flight count as tokens in
// flight, also while they wait again by rule 4. By that much a counter can be below the smallest.
//
// Each class has its own counters. With common ones, batch work that waits for hours would hold
// realtime's floor down, and lifting a principal to realtime's floor would push it back in batch. A
// principal that asks at several priorities has one counter for all of them.
//
// Accounts: each principal that waits or has requests in flight has one. The account of an idle
// principal is kept while its counter is above the floor and forgotten after that. Nothing is lost,
// since it would be lifted to the floor anyway. While there are more than `most_accounts`, idle
// ones are forgotten at once, and their principals come back at the floor. A principal gains by
// that at most what a counter can be above the floor, half the bound, and only once while that many
// others are served. A principal whose permits were all given up may be forgotten before its
// tickets are back, if others come in between in the same message. It is lifted to the floor then.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "scheduling/admission.hpp"
#include "scheduling/principal_heap.hpp"
#include "scheduling/slot_index.hpp"

namespace signalbox::scheduling {

// A waiting ticket. Those of all classes lie in one slab and refer to each other by slot.
struct alignas(64) waiting_record {
  static constexpr std::uint32_t none = 0xffffffff;
  static constexpr std::uint64_t beside_line = ~std::uint64_t{0};  // position of a returned ticket

  bool is_returned() const { return line_position == beside_line; }

  ticket_id id = 0;
  time_point deadline = never;
  queue_place place;
  std::uint64_t line_position = 0;  // in its ticket_line
  std::uint32_t previous = none;    // ticket of the same principal at the same priority
  std::uint32_t next = none;        // likewise
  std::uint32_t account = none;     // its principal's account in the fair_share of its class
  // Counts the principal's tickets at this priority. A returned ticket has the number of the next
  // one that did not return.
  std::uint32_t own_number = 0;
  float estimate = 0;  // expected cost, weighted tokens
  shard_id shard = 0;
  work_class work = work_class::realtime;
  priority level : 7 = priority::normal;
  bool is_patient : 1 = false;
};
static_assert(sizeof(waiting_record) == 64);  // one line of the processor's cache
using waiting_records = std::vector<waiting_record>;

// The principals of one class of work and the order in which they are served.
class fair_share {
 public:
  static constexpr std::size_t most_accounts = 1 << 17;

  void add(std::uint32_t slot, const ticket& t, waiting_records& records);
  // Removes a ticket without charging for it; call charge() if it was granted.
  void remove(std::uint32_t slot, waiting_records& records);
  // Charges an account for a granted request; `estimate` is in weighted tokens.
  service_charge charge(std::uint32_t account, work_class work, double estimate);
  void count(const principal_service& service);

  bool empty(priority level) const { return heap(level).empty(); }
  // The principal that goes next at this priority, and its ticket. Not to be called when empty.
  const heap_entry& next(priority level) const { return heap(level).top(); }
  std::size_t principals(priority level) const { return heap(level).size(); }
  // Estimates how many tickets of the same priority go before this one. It assumes that all tickets
  // of the same principal cost as much as this one, and all others the mean.
  std::uint32_t ahead(std::uint32_t slot, const waiting_records& records) const;

  std::size_t accounts() const { return by_principal_.size(); }

 private:
  static constexpr std::uint32_t none = waiting_record::none;

  // The tickets of one principal at one priority.
  struct own_line {
    std::uint32_t first = none;
    std::uint32_t last = none;
    std::uint32_t waiting = 0;
    std::uint32_t pushed = 0;  // all tickets so far
    std::uint32_t place = 0;   // position in the heap while tickets wait
  };
  struct returned_ticket {  // the order of these is by principal, priority and arrival
    std::uint32_t account;
    priority level;
    queue_place place;
    std::uint32_t slot;

    auto operator<=>(const returned_ticket&) const = default;
  };
  struct account {
    std::uint32_t principal = 0;
    std::uint32_t waiting = 0;    // tickets of any priority
    std::uint32_t in_flight = 0;  // requests that are charged and not corrected yet
    bool used = false;
    double counter = 0;
    double weight = 1;
    std::array<own_line, priority_count> lines{};

    bool is_idle() const { return used && waiting == 0 && in_flight == 0; }
  };
  // Principals at one priority whose number of tickets has the same bit width. ahead() adds these
  // groups up.
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
  void lift(std::uint32_t number, std::size_t level, const waiting_records& records);
  void lift_beside_returned(std::uint32_t number, std::size_t level,
                            const waiting_records& records);
  std::uint32_t enter_returned(std::uint32_t slot, const waiting_records& records);
  std::uint32_t returned_ahead(const waiting_record& r) const;
  static void link(std::uint32_t slot, std::uint32_t next, own_line& line,
                   waiting_records& records);
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
  double mean_charge_ = 0;  // charge divided by weight, EWMA; 0: none yet
  std::array<principal_heap, priority_count> heaps_;
  std::array<size_groups, priority_count> groups_{};
  std::vector<account> accounts_;
  std::vector<std::uint32_t> unused_;       // free places in `accounts_`
  slot_index<std::uint32_t> by_principal_;  // principal → index in `accounts_`
  std::vector<returned_ticket> returned_;   // sorted
  std::size_t hand_ = 0;                    // index where forget_some() continues
};

}  // namespace signalbox::scheduling
