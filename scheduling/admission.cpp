// Every event ends in settle(), the only place that decides. It refuses overdue tickets, grants
// permits in order, recalls credits while tickets wait, and stocks the shards while none does.
#include "scheduling/admission.hpp"

#include <algorithm>
#include <cmath>

#include "scheduling/unit_accounts.hpp"
#include "scheduling/waiting_tickets.hpp"

namespace signalbox::scheduling {

namespace {

constexpr double kept_by_ewma = 0.9;  // weight of the past after one more request
constexpr duration retry_least = std::chrono::seconds(1);
constexpr duration retry_most = std::chrono::seconds(600);

// Idle credits come back from a shard in less time than this.
constexpr duration recall_patience = std::chrono::milliseconds(50);

}  // namespace

struct admission::state {
  explicit state(admission_limits l) : limits(l), tickets(l.max_starvation) {}

  bool has_room() const;
  time_point deadline_of(const ticket& t) const;
  duration wait_for(std::uint32_t position) const;
  duration retry_after(std::uint32_t position) const {
    return std::clamp(wait_for(position), retry_least, retry_most);
  }

  void begin(time_point t) {
    now = std::max(now, t);
    touch();
  }
  void touch() {
    if (tickets.size() > 0) last_waiting = now;
    if (tickets.size() > 0 || units.is_in_use()) last_active = now;
  }
  // Handles one event: `change` changes the state, and settle() decides what follows.
  template <class Change>
  admission_effects handle(time_point t, Change change) {
    admission_effects out;
    begin(t);
    change(out);
    settle(out);
    return out;
  }
  void settle(admission_effects& out);
  void expire(admission_effects& out);
  void grant_next(admission_effects& out);

  admission_limits limits;
  waiting_tickets tickets;
  unit_accounts units;
  double service_ns = 0;  // EWMA
  time_point now{};
  time_point last_waiting{};
  time_point last_active{};
  bool is_held = false;  // between hold() and decide()
};

// Tells whether one more ticket can be taken: it finds a place to wait, or is granted at once, or
// idle credits will come back for it.
bool admission::state::has_room() const {
  std::uint64_t waiting = tickets.size(), places = limits.max_waiting;
  if (waiting < places) return true;
  return units.is_open() && waiting < places + units.free() + units.returning();
}

// A deadline limits how long a ticket waits until others are served. A ticket that comes while a
// unit is idle is served whatever its deadline: at once by a free unit, or when idle credits of
// another shard are back. A ticket that returns had a permit, which comes back as well. And a
// ticket may be more urgent than those that came with it and were counted before.
time_point admission::state::deadline_of(const ticket& t) const {
  const bool is_unit_idle = units.is_open() && tickets.size() < units.free() + units.returning();
  if (is_unit_idle || t.place) return std::max(t.deadline, now + recall_patience);
  return units.has_free() ? std::max(t.deadline, now + duration(1)) : t.deadline;
}

duration admission::state::wait_for(std::uint32_t position) const {
  const auto at_once = units.is_open() ? units.units() : std::uint64_t{limits.expected_units};
  auto ns = service_ns * position / static_cast<double>(std::max<std::uint64_t>(1, at_once));
  constexpr double year_ns = 3.15e16;
  return duration(static_cast<std::int64_t>(std::min(ns, year_ns)));
}

void admission::state::settle(admission_effects& out) {
  if (is_held) return;
  expire(out);
  while (units.has_free() && tickets.size() > 0) grant_next(out);
  if (tickets.size() > 0) {
    units.recall(out);
  } else {
    units.stock(out);
  }
  touch();
}

void admission::state::expire(admission_effects& out) {
  auto position = tickets.size();
  for (const auto& t : tickets.take_due(now)) {
    out.push_back(refuse_ticket{t.id, t.shard, refusal::deadline_passed, retry_after(position--)});
  }
}

void admission::state::grant_next(admission_effects& out) {
  const auto next = tickets.grant_next(now);
  const auto backend = units.grant(next.shard, next.charge.work);
  out.push_back(grant_permit{next.id, next.shard, backend, next.charge.work,
                             now - next.place.arrival, next.charge, next.place});
}

admission::admission(admission_limits limits) {
  limits.max_starvation = std::max(limits.max_starvation, duration(1));
  state_ = std::make_unique<state>(limits);
}

admission::~admission() = default;
admission::admission(admission&&) noexcept = default;
admission& admission::operator=(admission&&) noexcept = default;

admission_effects admission::attach_shard(shard_id shard, std::span<const backend_units> in_use,
                                          time_point now) {
  return state_->handle(now, [&](auto&) { state_->units.attach(shard, in_use, state_->now); });
}

admission_effects admission::open(backend_id backend, std::uint32_t units, time_point now) {
  return state_->handle(now, [&](auto& out) { state_->units.open(backend, units, out); });
}

admission_effects admission::close(backend_id backend, time_point now) {
  return state_->handle(now, [&](auto& out) { state_->units.close(backend, out); });
}

admission_effects admission::set_units(backend_id backend, std::uint32_t units, time_point now) {
  return state_->handle(now, [&](auto& out) { state_->units.set_units(backend, units, out); });
}

admission_effects admission::set_limits(const admission_limits& limits, time_point now) {
  return state_->handle(now, [&](auto&) {
    state_->limits = limits;
    state_->tickets.set_max_starvation(std::max(limits.max_starvation, duration(1)));
  });
}

void admission::hold() {
  state_->is_held = true;
}

admission_effects admission::decide(time_point now) {
  state_->is_held = false;
  return advance(now);
}

admission_effects admission::submit(const ticket& t, time_point now) {
  auto& s = *state_;
  admission_effects out;
  if (s.tickets.contains(t.id)) return out;
  s.begin(now);
  if (t.place || s.has_room()) {
    s.tickets.add(t, s.deadline_of(t), s.now);
  } else {
    auto retry_after = s.retry_after(s.tickets.size() + 1);
    out.push_back(refuse_ticket{t.id, t.shard, refusal::queue_full, retry_after});
  }
  s.settle(out);
  return out;
}

admission_effects admission::cancel(ticket_id id, time_point now) {
  auto& s = *state_;
  admission_effects out;
  if (!s.tickets.contains(id)) return out;
  s.begin(now);
  s.tickets.remove(id);
  s.settle(out);
  return out;
}

admission_effects admission::give_back(shard_id shard, backend_id backend, std::uint32_t units,
                                       time_point now) {
  return state_->handle(
      now, [&](auto&) { state_->units.give_back(shard, backend, units, state_->now); });
}

void admission::report(shard_id shard, const backend_report& report, time_point now) {
  auto& s = *state_;
  s.begin(now);
  s.units.report(shard, report, s.now);
  if (report.ended > 0) s.last_active = s.now;
  s.touch();
}

void admission::count_settled(const settled_counts& settled) {
  const auto ended = settled.total() - settled.unlike_others;
  if (ended == 0) return;
  auto& s = *state_;
  auto mean = static_cast<double>(std::max(settled.service, duration::zero()).count()) / ended;
  auto keep = s.service_ns > 0 ? std::pow(kept_by_ewma, ended) : 0.0;
  s.service_ns = keep * s.service_ns + (1 - keep) * mean;
}

void admission::count_service(const principal_service& service, time_point now) {
  state_->begin(now);
  state_->tickets.count_service(service);
}

admission_effects admission::preempt(work_class work, time_point now) {
  return state_->handle(now, [&](auto& out) {
    for (const auto shard : state_->units.shards()) out.push_back(preempt_permits{shard, work});
  });
}

admission_effects admission::refuse_all(refusal why, duration retry_after, time_point now) {
  auto& s = *state_;
  return s.handle(now, [&](auto& out) {
    while (s.tickets.size() > 0) {
      const auto next = s.tickets.take_next(s.now);
      out.push_back(refuse_ticket{next.id, next.shard, why, retry_after});
    }
  });
}

admission_effects admission::refuse_impatient(refusal why, duration retry_after, time_point now) {
  auto& s = *state_;
  return s.handle(now, [&](auto& out) {
    for (const auto& t : s.tickets.take_impatient()) {
      out.push_back(refuse_ticket{t.id, t.shard, why, retry_after});
    }
  });
}

admission_effects admission::advance(time_point now) {
  return state_->handle(now, [](auto&) {});
}

time_point admission::next_deadline() const {
  return state_->tickets.next_deadline();
}

std::optional<ticket_place> admission::place(ticket_id id, time_point now) const {
  const auto position = state_->tickets.position(id, std::max(state_->now, now));
  if (!position) return std::nullopt;
  return ticket_place{*position, state_->wait_for(*position)};
}

std::uint32_t admission::waiting() const {
  return state_->tickets.size();
}

std::uint32_t admission::waiting(work_class work) const {
  return state_->tickets.size(work);
}

std::uint32_t admission::held() const {
  return static_cast<std::uint32_t>(state_->units.held());
}

bool admission::is_said_in_use(backend_id backend) const {
  return state_->units.is_said_in_use(backend);
}

std::uint32_t admission::held(backend_id backend) const {
  return state_->units.held(backend);
}

class_counts admission::in_use() const {
  return state_->units.in_use();
}

class_counts admission::in_use(backend_id backend) const {
  return state_->units.in_use(backend);
}

std::uint64_t admission::units() const {
  return state_->units.units();
}

time_point admission::oldest_wait_since() const {
  return state_->tickets.oldest_arrival();
}

time_point admission::oldest_wait_since(work_class work) const {
  return state_->tickets.oldest_arrival(work);
}

time_point admission::last_active() const {
  return state_->last_active;
}

time_point admission::last_active(backend_id backend) const {
  return std::max(state_->last_waiting, state_->units.last_active(backend, state_->now));
}

duration admission::mean_service() const {
  return duration(static_cast<std::int64_t>(state_->service_ns));
}

bool admission::is_open() const {
  return state_->units.is_open();
}

bool admission::is_open(backend_id backend) const {
  return state_->units.is_open(backend);
}

const admission_limits& admission::limits() const {
  return state_->limits;
}

}  // namespace signalbox::scheduling
