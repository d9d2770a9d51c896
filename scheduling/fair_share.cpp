#include "scheduling/fair_share.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace signalbox::scheduling {

namespace {

constexpr double kept_of_mean = 0.9;
constexpr double most_cost = 1e12;  // of one report, so that a runtime's nonsense has an end
constexpr double least_weight = 1e-6, most_weight = 1e6;

// Each new account makes us look at this many old ones, to forget those that are idle. More than
// one, so that idle accounts are found faster than new ones come.
constexpr int looked_at = 4;

double sane_weight(double weight) {
  return std::isfinite(weight) ? std::clamp(weight, least_weight, most_weight) : 1;
}

double sane_cost(double cost, double least) {
  return std::isfinite(cost) ? std::clamp(cost, least, most_cost) : 0;
}

}  // namespace

void fair_share::add(std::uint32_t slot, const ticket& t, waiting_records& records) {
  const auto number = account_of(t.principal);
  const auto level = static_cast<std::size_t>(t.level);
  auto& a = accounts_[number];
  a.weight = sane_weight(t.weight);
  auto& line = a.lines[level];
  auto& r = records[slot];
  r.account = number;
  r.estimate = static_cast<float>(sane_cost(t.estimate, token_weights::least_cost));
  if (r.is_returned()) {
    const auto next = enter_returned(slot, records);
    r.own_number = next == none ? line.pushed : records[next].own_number;
    link(slot, next, line, records);
  } else {
    lift(number, level, records);
    r.own_number = line.pushed++;
    link(slot, none, line, records);
  }
  regroup(level, line.waiting, line.waiting + 1);
  ++a.waiting;
  if (++line.waiting == 1) {
    heaps_[level].push({a.counter, r.place, number, slot}, placer(level));
  } else if (line.first == slot) {
    rekey({a.counter, r.place, number, slot}, level);
  }
}

// Before `next`, or at the end.
void fair_share::link(std::uint32_t slot, std::uint32_t next, own_line& line,
                      waiting_records& records) {
  auto& previous = next == none ? line.last : records[next].previous;
  records[slot].previous = previous;
  records[slot].next = next;
  (previous == none ? line.first : records[previous].next) = slot;
  previous = slot;
}

// The ticket of its principal that it stands before. Tickets of one principal are granted in order:
// what is older and still waits has returned too, or came while the credit was on its way back that
// the permit was taken by. Hence the walk is short.
std::uint32_t fair_share::enter_returned(std::uint32_t slot, const waiting_records& records) {
  const auto& r = records[slot];
  const returned_ticket own{r.account, r.level, r.place, slot};
  const auto at = std::ranges::lower_bound(returned_, own);
  const bool is_first =
      at == returned_.begin() || at[-1].account != r.account || at[-1].level != r.level;
  auto next = is_first ? accounts_[r.account].lines[static_cast<std::size_t>(r.level)].first
                       : records[at[-1].slot].next;
  while (next != none && records[next].place < r.place) next = records[next].next;
  returned_.insert(at, own);
  return next;
}

// How many tickets of the same principal and priority stand before it that returned.
std::uint32_t fair_share::returned_ahead(const waiting_record& r) const {
  if (returned_.empty()) return 0;
  const returned_ticket first{r.account, r.level, {time_point::min(), 0}, 0};
  const returned_ticket own{r.account, r.level, r.place, 0};
  const auto begin = std::ranges::lower_bound(returned_, first);
  return static_cast<std::uint32_t>(std::lower_bound(begin, returned_.end(), own) - begin);
}

void fair_share::remove(std::uint32_t slot, waiting_records& records) {
  const auto& r = records[slot];
  const auto level = static_cast<std::size_t>(r.level);
  auto& a = accounts_[r.account];
  auto& line = a.lines[level];
  const bool was_first = line.first == slot;
  (was_first ? line.first : records[r.previous].next) = r.next;
  (line.last == slot ? line.last : records[r.next].previous) = r.previous;
  if (r.is_returned()) {
    const returned_ticket own{r.account, r.level, r.place, slot};
    returned_.erase(std::ranges::lower_bound(returned_, own));
  }
  regroup(level, line.waiting, line.waiting - 1);
  --a.waiting;
  if (--line.waiting == 0) {
    heaps_[level].remove(line.place, placer(level));
  } else if (was_first) {
    rekey({a.counter, records[line.first].place, r.account, line.first}, level);
  }
}

service_charge fair_share::charge(std::uint32_t number, work_class work, double estimate) {
  auto& a = accounts_[number];
  ++a.in_flight;
  floor_ = std::max(floor_, a.counter);
  const auto share = estimate / a.weight;
  mean_charge_ = mean_charge_ > 0 ? std::lerp(share, mean_charge_, kept_of_mean) : share;
  add_to_counter(number, share);
  return {a.principal, work, a.weight, estimate};
}

void fair_share::count(const principal_service& service) {
  const auto number = account_of(service.principal);
  auto& a = accounts_[number];
  a.weight = sane_weight(service.weight);
  if (service.begun > 0) {
    if (a.waiting == 0) a.counter = std::max(a.counter, floor_);
    if (nobody_waits()) floor_ = std::max(floor_, a.counter);
  }
  a.in_flight += service.begun;
  a.in_flight -= std::min(a.in_flight, service.ended);
  const auto cost = sane_cost(service.charged, 0) + sane_cost(service.corrected, -most_cost);
  add_to_counter(number, cost / a.weight);
}

// The ticket's turn comes when the other counters have passed its principal's counter of that time.
// Until then each other principal is served that distance, in requests of the mean cost, or all its
// tickets if they are fewer.
std::uint32_t fair_share::ahead(std::uint32_t slot, const waiting_records& records) const {
  const auto& r = records[slot];
  const auto level = static_cast<std::size_t>(r.level);
  const auto& a = accounts_[r.account];
  const auto& line = a.lines[level];
  const auto pushed_ahead = r.own_number - records[line.first].own_number;
  const auto own = std::min(pushed_ahead + returned_ahead(r), line.waiting - 1);
  const auto distance = a.counter - next(r.level).counter + own * double{r.estimate} / a.weight;
  const auto turns = mean_charge_ > 0 ? distance / mean_charge_ : own;
  double others = 0;
  for (std::size_t i = 1; i < groups_[level].size(); ++i) {
    auto group = groups_[level][i];
    if (i == static_cast<std::size_t>(std::bit_width(line.waiting))) {
      --group.principals;
      group.tickets -= line.waiting;
    }
    others += std::min<double>(group.tickets, group.principals * turns);
  }
  return own + static_cast<std::uint32_t>(others);
}

std::uint32_t fair_share::account_of(std::uint32_t principal) {
  const auto found = by_principal_.find(principal);
  if (found != none) return found;
  forget_some();
  std::uint32_t number;
  if (unused_.empty()) {
    number = static_cast<std::uint32_t>(accounts_.size());
    accounts_.emplace_back();
  } else {
    number = unused_.back();
    unused_.pop_back();
  }
  by_principal_.insert(principal, number);
  accounts_[number] = {.principal = principal, .used = true, .counter = floor_};
  return number;
}

bool fair_share::nobody_waits() const {
  return std::all_of(heaps_.begin(), heaps_.end(), [](const auto& heap) { return heap.empty(); });
}

// Rule 2.
void fair_share::lift(std::uint32_t number, std::size_t level, const waiting_records& records) {
  auto& a = accounts_[number];
  if (a.waiting == 0) {
    a.counter = std::max(a.counter, heaps_[level].empty() ? floor_ : heaps_[level].top().counter);
  } else if (!returned_.empty()) {
    lift_beside_returned(number, level, records);
  }
}

// Rule 4.
void fair_share::lift_beside_returned(std::uint32_t number, std::size_t level,
                                      const waiting_records& records) {
  auto& a = accounts_[number];
  const auto begin = std::ranges::lower_bound(returned_, number, {}, &returned_ticket::account);
  const auto end = std::ranges::upper_bound(returned_, number, {}, &returned_ticket::account);
  if (a.waiting > static_cast<std::size_t>(end - begin)) return;
  const auto* other = heaps_[level].best_beside(number);
  auto least = other == nullptr ? floor_ : other->counter;
  for (auto each = begin; each != end; ++each) {
    least -= records[each->slot].estimate / a.weight;
  }
  if (least > a.counter) add_to_counter(number, least - a.counter);
}

void fair_share::add_to_counter(std::uint32_t number, double cost) {
  auto& a = accounts_[number];
  a.counter += cost;
  if (a.waiting == 0) return;
  for (std::size_t level = 0; level < priority_count; ++level) {
    if (a.lines[level].waiting == 0) continue;
    heaps_[level].set_counter(a.lines[level].place, a.counter, placer(level));
  }
}

void fair_share::rekey(const heap_entry& entry, std::size_t level) {
  heaps_[level].update(accounts_[entry.account].lines[level].place, entry, placer(level));
}

// Moves a principal whose number of tickets changed from one size_group to another.
void fair_share::regroup(std::size_t level, std::uint32_t from, std::uint32_t to) {
  auto group = [&](std::uint32_t tickets) -> auto& {
    return groups_[level][static_cast<std::size_t>(std::bit_width(tickets))];
  };
  if (from > 0) --group(from).principals, group(from).tickets -= from;
  if (to > 0) ++group(to).principals, group(to).tickets += to;
}

// Looks at the next accounts in turn, so that every account is looked at again and again.
void fair_share::forget_some() {
  for (int i = 0; i < looked_at && !accounts_.empty(); ++i) {
    if (hand_ >= accounts_.size()) hand_ = 0;
    auto& a = accounts_[hand_];
    if (a.is_idle() && (a.counter <= floor_ || accounts() > most_accounts)) {
      by_principal_.erase(a.principal);
      unused_.push_back(static_cast<std::uint32_t>(hand_));
      a.used = false;
    }
    ++hand_;
  }
}

}  // namespace signalbox::scheduling
