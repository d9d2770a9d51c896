// Every event ends in settle(), which alone decides: refuse what is overdue, grant in order, recall
// credits while somebody waits, stock shards while nobody does. Tickets lie in one slab; the twelve
// lines (class × priority) and the deadlines refer to them by slot.
#include "scheduling/admission.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>
#include <utility>

#include "scheduling/deadline_index.hpp"
#include "scheduling/ticket_line.hpp"

namespace signalbox::scheduling {

namespace {

constexpr double kept_by_ewma = 0.9;  // weight of the past after one more request
constexpr duration retry_least = std::chrono::seconds(1);
constexpr duration retry_most = std::chrono::seconds(600);

struct record {
  ticket t;
  std::uint64_t position = 0;  // in its line
};

// A shard starts without credits: it returns each unit as it ends.
struct shard_account {
  shard_id id;
  std::uint32_t held = 0;
  std::uint32_t in_use = 0;     // last report, and what was granted since; only while stocked
  bool attached = false;        // introduced itself: may be stocked
  bool stocked = false;         // keeps a unit when its permit ends
  bool recall_pending = false;  // recalled, and nothing came back yet
};

// The key that tickets of one class are granted by.
struct urgency {
  std::uint32_t level;
  std::uint64_t sequence;
  auto operator<=>(const urgency&) const = default;
};

}  // namespace

struct admission::state {
  explicit state(admission_limits l) : limits(l), free(l.max_concurrent) {}

  ticket_line& line_of(const ticket& t) {
    return lines[static_cast<std::size_t>(t.work)][static_cast<std::size_t>(t.level)];
  }
  shard_account& account(shard_id id);
  urgency urgency_of(const line_entry& entry, std::size_t level, time_point at) const;
  const line_entry* next_in(std::size_t work) const;
  std::uint32_t take_out(std::uint32_t slot);
  void enqueue(const ticket& t);
  std::uint32_t returning() const;
  std::uint32_t in_use() const;
  duration wait_for(std::uint32_t position) const;
  duration retry_after(std::uint32_t position) const {
    return std::clamp(wait_for(position), retry_least, retry_most);
  }

  void begin(time_point t) {
    now = std::max(now, t);
    touch();
  }
  void touch() {
    if (waiting > 0 || in_use() > 0) last_active = now;
  }
  void settle(admission_effects& out);
  void expire(admission_effects& out);
  void grant_next(admission_effects& out);
  void recall(admission_effects& out);
  void stock(admission_effects& out);

  admission_limits limits;
  std::int64_t free;  // below 0 while shards hold units of an earlier life beyond the limit
  bool is_open = false;
  bool owes_drained = false;
  bool closed_once = false;

  std::array<std::array<ticket_line, priority_count>, work_class_count> lines;
  std::array<std::uint32_t, work_class_count> waiting_in{};
  std::uint32_t waiting = 0;
  std::uint64_t next_sequence = 0;
  std::vector<record> records;
  std::vector<std::uint32_t> unused;  // slots of `records`
  std::unordered_map<ticket_id, std::uint32_t> slots;
  deadline_index deadlines;

  std::vector<shard_account> shards;  // a handful
  std::uint64_t held = 0;
  double service_ns = 0;  // EWMA
  time_point now{};
  time_point last_active{};
};

shard_account& admission::state::account(shard_id id) {
  for (auto& s : shards) {
    if (s.id == id) return s;
  }
  shards.push_back({.id = id});
  return shards.back();
}

urgency admission::state::urgency_of(const line_entry& entry, std::size_t level,
                                     time_point at) const {
  auto raised = (at - entry.arrival) / limits.max_starvation;
  auto base = static_cast<std::int64_t>(level);
  return {static_cast<std::uint32_t>(base - std::min<std::int64_t>(base, raised)), entry.sequence};
}

// Inside one line urgency only falls from front to end, so that the fronts are all there is to
// compare.
const line_entry* admission::state::next_in(std::size_t work) const {
  const line_entry* best = nullptr;
  urgency best_urgency{};
  for (std::size_t level = 0; level < priority_count; ++level) {
    const auto& line = lines[work][level];
    if (line.empty()) continue;
    auto candidate = urgency_of(line.front(), level, now);
    if (best == nullptr || candidate < best_urgency) {
      best = &line.front();
      best_urgency = candidate;
    }
  }
  return best;
}

void admission::state::enqueue(const ticket& t) {
  std::uint32_t slot;
  if (unused.empty()) {
    slot = static_cast<std::uint32_t>(records.size());
    records.emplace_back();
  } else {
    slot = unused.back();
    unused.pop_back();
  }
  records[slot] = {t, line_of(t).push({now, next_sequence++, slot})};
  slots.emplace(t.id, slot);
  deadlines.insert(slot, t.deadline);
  ++waiting_in[static_cast<std::size_t>(t.work)];
  ++waiting;
}

// Out of its line and the map; the deadline is the caller's. The record stays readable until the
// next enqueue().
std::uint32_t admission::state::take_out(std::uint32_t slot) {
  const auto& r = records[slot];
  auto& line = line_of(r.t);
  line.remove(r.position);
  if (line.sparse()) {
    line.compact([this](std::uint32_t moved, std::uint64_t to) { records[moved].position = to; });
  }
  slots.erase(r.t.id);
  unused.push_back(slot);
  --waiting_in[static_cast<std::size_t>(r.t.work)];
  --waiting;
  return slot;
}

// Units that lie idle as credits and will come back when somebody waits: room that is not visible
// in `free` yet.
std::uint32_t admission::state::returning() const {
  std::uint32_t sum = 0;
  for (const auto& s : shards) {
    if (s.stocked || s.recall_pending) sum += s.held - std::min(s.held, s.in_use);
  }
  return sum;
}

std::uint32_t admission::state::in_use() const {
  std::uint32_t sum = 0;
  for (const auto& s : shards) sum += s.stocked ? std::min(s.held, s.in_use) : s.held;
  return sum;
}

duration admission::state::wait_for(std::uint32_t position) const {
  auto ns = service_ns * position / limits.max_concurrent;
  constexpr double year_ns = 3.15e16;
  return duration(static_cast<std::int64_t>(std::min(ns, year_ns)));
}

void admission::state::settle(admission_effects& out) {
  expire(out);
  while (is_open && free > 0 && waiting > 0) grant_next(out);
  if (!is_open || waiting > 0) {
    recall(out);
  } else {
    stock(out);
  }
  if (owes_drained && held == 0) {
    owes_drained = false;
    out.push_back(drained{});
  }
  touch();
}

void admission::state::expire(admission_effects& out) {
  if (deadlines.next() > now) return;
  for (auto slot : deadlines.take_due(now)) {
    const auto& t = records[slot].t;
    out.push_back(refuse_ticket{t.id, t.shard, refusal::deadline_passed, retry_after(waiting)});
    take_out(slot);
  }
}

void admission::state::grant_next(admission_effects& out) {
  std::size_t work = 0;
  while (waiting_in[work] == 0) ++work;
  auto entry = *next_in(work);
  const auto& t = records[entry.slot].t;
  deadlines.remove(entry.slot, t.deadline);
  out.push_back(grant_permit{t.id, t.shard, t.work, now - entry.arrival});
  auto& s = account(t.shard);
  ++s.held;
  ++s.in_use;
  ++held;
  --free;
  take_out(entry.slot);
}

void admission::state::recall(admission_effects& out) {
  for (auto& s : shards) {
    if (!s.stocked) continue;
    s.stocked = false;
    s.recall_pending = true;
    out.push_back(recall_credits{s.id});
  }
}

// Equal shares; what cannot be shared equally stays here and is granted by ticket. While requests
// come about as fast as units return, stocking one unit would only cause the next recall: a quarter
// of the units must be free.
void admission::state::stock(admission_effects& out) {
  auto enough = std::max<std::int64_t>(1, limits.max_concurrent / 4);
  auto attached = std::count_if(shards.begin(), shards.end(),
                                [](const shard_account& s) { return s.attached; });
  if (free < enough || free < attached || attached == 0) return;
  auto share = static_cast<std::uint32_t>(free / attached);
  for (auto& s : shards) {
    if (!s.attached) continue;
    if (!s.stocked) s.in_use = s.held;  // a recalled shard keeps only what it uses
    s.stocked = true;
    s.recall_pending = false;
    s.held += share;
    held += share;
    free -= share;
    out.push_back(give_credits{s.id, share});
  }
}

admission::admission(admission_limits limits) {
  limits.max_concurrent = std::max<std::uint32_t>(1, limits.max_concurrent);
  limits.max_starvation = std::max(limits.max_starvation, duration(1));
  state_ = std::make_unique<state>(limits);
}

admission::~admission() = default;
admission::admission(admission&&) noexcept = default;
admission& admission::operator=(admission&&) noexcept = default;

admission_effects admission::attach_shard(shard_id shard, std::uint32_t in_use, time_point now) {
  auto& s = *state_;
  admission_effects out;
  s.begin(now);
  auto& account = s.account(shard);
  s.free += account.held;
  s.held -= account.held;
  account = {.id = shard, .held = in_use, .in_use = in_use, .attached = true};
  s.free -= in_use;
  s.held += in_use;
  s.settle(out);
  return out;
}

admission_effects admission::open(time_point now) {
  auto& s = *state_;
  admission_effects out;
  s.begin(now);
  s.is_open = true;
  s.owes_drained = false;
  s.settle(out);
  return out;
}

admission_effects admission::close(time_point now) {
  auto& s = *state_;
  admission_effects out;
  s.begin(now);
  // The first close() is answered too when nothing was ever opened: the owner of a restarted queue
  // does not know that it is closed already.
  if (s.is_open || !s.closed_once) s.owes_drained = true;
  s.closed_once = true;
  s.is_open = false;
  s.settle(out);
  return out;
}

admission_effects admission::submit(const ticket& t, time_point now) {
  auto& s = *state_;
  admission_effects out;
  if (s.slots.contains(t.id)) return out;
  s.begin(now);
  bool may_wait = (s.is_open && s.free > 0) || s.waiting < s.limits.max_waiting ||
                  (s.is_open && s.waiting < s.limits.max_waiting + std::uint64_t{s.returning()});
  if (may_wait) {
    s.enqueue(t);
  } else {
    out.push_back(refuse_ticket{t.id, t.shard, refusal::queue_full, s.retry_after(s.waiting + 1)});
  }
  s.settle(out);
  return out;
}

admission_effects admission::cancel(ticket_id id, time_point now) {
  auto& s = *state_;
  admission_effects out;
  auto found = s.slots.find(id);
  if (found == s.slots.end()) return out;
  s.begin(now);
  auto slot = found->second;
  s.deadlines.remove(slot, s.records[slot].t.deadline);
  s.take_out(slot);
  s.settle(out);
  return out;
}

admission_effects admission::give_back(shard_id shard, std::uint32_t units, time_point now) {
  auto& s = *state_;
  admission_effects out;
  s.begin(now);
  auto& account = s.account(shard);
  units = std::min(units, account.held);
  if (units > 0) {
    account.held -= units;
    account.in_use = std::min(account.in_use, account.held);
    account.recall_pending = false;
    s.held -= units;
    s.free += units;
  }
  s.settle(out);
  return out;
}

void admission::report(shard_id shard, std::uint32_t in_use, std::uint32_t ended, duration service,
                       time_point now) {
  auto& s = *state_;
  s.begin(now);
  s.account(shard).in_use = in_use;
  if (ended > 0) {
    auto mean = static_cast<double>(std::max(service, duration::zero()).count()) / ended;
    auto keep = s.service_ns > 0 ? std::pow(kept_by_ewma, ended) : 0.0;
    s.service_ns = keep * s.service_ns + (1 - keep) * mean;
    s.last_active = s.now;
  }
  s.touch();
}

admission_effects admission::refuse_all(refusal why, duration retry_after, time_point now) {
  auto& s = *state_;
  admission_effects out;
  s.begin(now);
  for (std::size_t work = 0; work < work_class_count; ++work) {
    while (const auto* entry = s.next_in(work)) {
      auto slot = entry->slot;
      const auto& t = s.records[slot].t;
      out.push_back(refuse_ticket{t.id, t.shard, why, retry_after});
      s.deadlines.remove(slot, t.deadline);
      s.take_out(slot);
    }
  }
  s.settle(out);
  return out;
}

admission_effects admission::advance(time_point now) {
  admission_effects out;
  state_->begin(now);
  state_->settle(out);
  return out;
}

time_point admission::next_deadline() const {
  return state_->deadlines.next();
}

std::optional<ticket_place> admission::place(ticket_id id, time_point now) const {
  const auto& s = *state_;
  auto found = s.slots.find(id);
  if (found == s.slots.end()) return std::nullopt;
  now = std::max(s.now, now);
  const auto& r = s.records[found->second];
  auto work = static_cast<std::size_t>(r.t.work);
  auto level = static_cast<std::size_t>(r.t.level);
  auto own = s.urgency_of(s.lines[work][level].at(r.position), level, now);
  std::uint32_t ahead = 0;
  for (std::size_t w = 0; w < work; ++w) ahead += s.waiting_in[w];
  for (std::size_t l = 0; l < priority_count; ++l) {
    ahead += s.lines[work][l].count_while(
        [&](const line_entry& entry) { return s.urgency_of(entry, l, now) < own; });
  }
  return ticket_place{ahead + 1, s.wait_for(ahead + 1)};
}

std::uint32_t admission::waiting() const {
  return state_->waiting;
}

std::uint32_t admission::waiting(work_class work) const {
  return state_->waiting_in[static_cast<std::size_t>(work)];
}

std::uint32_t admission::held() const {
  return static_cast<std::uint32_t>(state_->held);
}
std::uint32_t admission::in_use() const {
  return state_->in_use();
}

time_point admission::oldest_wait_since() const {
  auto oldest = never;
  for (const auto& levels : state_->lines) {
    for (const auto& line : levels) {
      if (!line.empty()) oldest = std::min(oldest, line.front().arrival);
    }
  }
  return oldest;
}

time_point admission::last_active() const {
  return state_->last_active;
}

duration admission::mean_service() const {
  return duration(static_cast<std::int64_t>(state_->service_ns));
}

bool admission::is_open() const {
  return state_->is_open;
}
const admission_limits& admission::limits() const {
  return state_->limits;
}

}  // namespace signalbox::scheduling
