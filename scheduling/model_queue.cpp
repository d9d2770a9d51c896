#include "scheduling/model_queue.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace signalbox::scheduling {

namespace {

using namespace std::chrono_literals;

constexpr duration ensure_gap = 1s;  // tell again, as the backend may have stopped since
// A request that did not wait for a closed queue and was refused counts as interest for this long.
constexpr duration interest = 1s;
constexpr duration activity_gap = 500ms;
constexpr duration demand_gap = 250ms;      // between reports whose figures alone changed
constexpr duration demand_turn_gap = 20ms;  // between reports of getting busy or idle
constexpr double arrival_memory_s = 60;     // time constant of the arrival rate's EWMA

}  // namespace

model_queue::model_queue(const model_queue_options& options)
    : options_(options), admission_(options.limits) {}

model_queue::backend* model_queue::find(backend_id id) {
  const auto found = std::find_if(backends_.begin(), backends_.end(),
                                  [=](const backend& b) { return b.id == id; });
  return found == backends_.end() ? nullptr : &*found;
}

queue_effects model_queue::attach_shard(shard_id shard, std::span<const backend_units> in_use,
                                        time_point now) {
  if (std::find(attached_.begin(), attached_.end(), shard) == attached_.end()) {
    attached_.push_back(shard);
  }
  // The shard's tickets follow. To say before that "nobody waits" would be too early.
  for (auto& b : backends_) b.next_activity = now + activity_gap;
  take_effects(admission_.attach_shard(shard, in_use, now), now);
  open_due(now);
  return finish(now);
}

queue_effects model_queue::take(const shard_batch& batch, time_point now) {
  if (std::find(attached_.begin(), attached_.end(), batch.shard) == attached_.end()) return {};
  admission_.hold();
  for (const auto id : batch.cancelled) admission_.cancel(id, now);
  for (const auto& served : batch.served) admission_.count_service(served, now);
  for (const auto& b : batch.backends) notice(b.backend, b.signs, now);
  for (const auto& b : batch.backends) {
    if (b.units_returned == 0) continue;
    admission_.give_back(batch.shard, b.backend, b.units_returned, now);
  }
  for (const auto& b : batch.backends) admission_.report(batch.shard, b, now);
  admission_.count_settled(batch.settled);
  submit(batch, now);
  take_effects(admission_.decide(now), now);
  settled_.completed += batch.settled.completed;
  settled_.failed += batch.settled.failed;
  settled_.cancelled += batch.settled.cancelled;
  settled_.timed_out += batch.settled.timed_out;
  if (batch.settled.total() > 0) progress_at_ = now;
  count_arrivals(batch.settled.total(), now);
  answer_place_queries(batch, now);
  if (batch.keep_loaded) {
    for (const auto& b : backends_) out_.push_back(tell_keep_loaded{b.id, *batch.keep_loaded});
  }
  return finish(now);
}

void model_queue::submit(const shard_batch& batch, time_point now) {
  if (batch.tickets.empty()) return;
  auto left = batch.cancelled;
  std::sort(left.begin(), left.end());
  for (const bool returning : {true, false}) {
    for (const auto& t : batch.tickets) {
      if (t.place.has_value() != returning) continue;
      if (!std::binary_search(left.begin(), left.end(), t.id)) submit(t, now);
    }
  }
}

void model_queue::submit(const ticket& t, time_point now) {
  const auto* why = refusal_now(now);
  if (why != nullptr && !(t.is_patient && spares_patient())) {
    out_.push_back(refuse_ticket{t.id, t.shard, why->why, retry_after(*why, now)});
    return;
  }
  if (!admission_.is_open() && t.deadline <= now) interest_until_ = now + interest;
  take_effects(admission_.submit(t, now), now);
}

// Counts requests as they end, which is all that is seen of requests by credit; the rate is the
// same.
void model_queue::count_arrivals(std::uint32_t ended, time_point now) {
  const double elapsed_s = to_seconds(now - arrivals_counted_at_);
  arrivals_per_s_ =
      arrivals_per_s_ * std::exp(-elapsed_s / arrival_memory_s) + ended / arrival_memory_s;
  arrivals_counted_at_ = now;
}

// The refusal that all requests get now because all backends refuse; null when one does not.
const model_queue::refusal_in_force* model_queue::refusal_now(time_point now) {
  if (stopped_) return &*stopped_;
  const refusal_in_force* soonest = nullptr;
  for (auto& b : backends_) {
    if (b.refusing && now >= b.refusing->until) b.refusing.reset();
    if (!b.refusing) return nullptr;
    if (soonest == nullptr || b.refusing->until < soonest->until) soonest = &*b.refusing;
  }
  return soonest;
}

bool model_queue::spares_patient() const {
  return !stopped_ && std::any_of(backends_.begin(), backends_.end(), [](const backend& b) {
    return b.refusing && b.refusing->spares_patient;
  });
}

// What requests notice of a runtime is for its backend to judge. Bytes mean something only after
// trouble was told, and of the requests that a run has served only the first.
void model_queue::notice(backend_id id, const runtime_signs& signs, time_point now) {
  auto* b = find(id);
  if (b == nullptr || signs.run == 0 || signs.run != b->run) return;
  if (signs.refused) {
    if (b->closing && b->closing->only_if_idle) {
      out_.push_back(tell_not_idle{id, std::exchange(b->closing, {})->number});
    }
    b->is_open_due = false;
    take_effects(admission_.close(id, now), now);
  }
  const bool is_trouble = signs.refused || signs.deadlines > 0;
  const bool is_proof = signs.completed && !std::exchange(b->is_proven, true);
  if (is_trouble || b->is_suspect || is_proof) out_.push_back(tell_signs{id, signs});
  b->is_suspect = is_trouble || (b->is_suspect && !admission_.is_open(id));
}

queue_effects model_queue::add_backend(backend_id id, time_point now) {
  take_effects(admission_.close(id, now), now);
  std::erase_if(backends_, [=](const backend& b) { return b.id == id; });
  backends_.push_back({.id = id, .expected_load = options_.expected_load});
  return finish(now);
}

queue_effects model_queue::remove_backend(backend_id id, time_point now) {
  take_effects(admission_.close(id, now), now);
  std::erase_if(backends_, [=](const backend& b) { return b.id == id; });
  return finish(now);
}

queue_effects model_queue::set_holder(backend_id id, holder_id holder, time_point now) {
  if (auto* b = find(id)) {
    b->holder = holder;
    b->demand.reset();
  }
  return finish(now);
}

queue_effects model_queue::forget_holders(time_point now) {
  for (auto& b : backends_) b.holder.reset();
  return finish(now);
}

queue_effects model_queue::open(backend_id id, std::uint32_t units, std::uint64_t run,
                                time_point now) {
  auto* b = find(id);
  if (b == nullptr) return {};
  if (admission_.is_open(id) && b->run != run) take_effects(admission_.close(id, now), now);
  if (b->run != run) b->is_proven = false;
  b->run = run;
  b->closing.reset();
  b->refusing.reset();
  b->units = units;
  b->is_suspect = false;
  b->is_open_due = true;
  open_due(now);
  return finish(now);
}

void model_queue::open_due(time_point now) {
  if (!knows_all_shards()) return;
  for (auto& b : backends_) {
    if (!std::exchange(b.is_open_due, false)) continue;
    take_effects(admission_.open(b.id, b.units, now), now);
  }
}

queue_effects model_queue::close(backend_id id, std::uint64_t closing, bool only_if_idle,
                                 time_point now) {
  auto* b = find(id);
  if (b == nullptr) return {};
  const bool is_idle =
      admission_.waiting() == 0 && total(admission_.in_use(id)) == 0 && knows_all_shards();
  // A question that is asked again gets the answer that the first one is still waiting for.
  const bool was_asked = b->closing && b->closing->only_if_idle;
  if (only_if_idle && !is_idle && !was_asked) {
    out_.push_back(tell_not_idle{id, closing});
  } else {
    b->closing = closing_order{closing, only_if_idle};
    b->is_open_due = false;
    take_effects(admission_.close(id, now), now);
  }
  return finish(now);
}

queue_effects model_queue::set_units(backend_id id, std::uint32_t units, time_point now) {
  auto* b = find(id);
  if (b != nullptr) b->units = units;
  take_effects(admission_.set_units(id, units, now), now);
  return finish(now);
}

queue_effects model_queue::refuse_waiting(backend_id id, refusal why, duration retry_after,
                                          const std::string& detail, time_point now,
                                          bool until_ready) {
  auto* b = find(id);
  if (b == nullptr) return {};
  b->refusing = refusal_in_force{why, until_ready ? never : now + retry_after, detail, until_ready};
  // The tickets may still be served while another backend does not refuse.
  if (refusal_now(now) == nullptr) return finish(now);
  const auto refuse = spares_patient() ? &admission::refuse_impatient : &admission::refuse_all;
  take_effects((admission_.*refuse)(why, this->retry_after(*b->refusing, now), now), now);
  return finish(now);
}

queue_effects model_queue::set_load(backend_id id, duration expected, time_point ready_at,
                                    time_point now) {
  if (auto* b = find(id)) {
    b->expected_load = expected;
    b->ready_at = ready_at;
  }
  return finish(now);
}

queue_effects model_queue::set_limits(const admission_limits& limits, time_point now) {
  options_.limits = limits;
  take_effects(admission_.set_limits(limits, now), now);
  return finish(now);
}

queue_effects model_queue::preempt(work_class work, time_point now) {
  take_effects(admission_.preempt(work, now), now);
  return finish(now);
}

queue_effects model_queue::stop(time_point now) {
  stopped_ = refusal_in_force{refusal::shutting_down, never, {}};
  take_effects(admission_.refuse_all(refusal::shutting_down, duration::zero(), now), now);
  return finish(now);
}

queue_effects model_queue::advance(time_point now) {
  take_effects(admission_.advance(now), now);
  return finish(now);
}

std::string model_queue::detail_of(refusal why) const {
  for (const auto& b : backends_) {
    if (b.refusing && b.refusing->why == why) return b.refusing->detail;
  }
  return {};
}

void model_queue::take_effects(const admission_effects& effects, time_point now) {
  for (const auto& effect : effects) {
    std::visit(
        [&](auto e) {
          if constexpr (std::is_same_v<decltype(e), refuse_ticket>) {
            if (e.why == refusal::deadline_passed) ++timed_out_;
            // Admission's time is for a ready model; refuse_waiting has a time of its own.
            const bool is_measured =
                e.why == refusal::deadline_passed || e.why == refusal::queue_full;
            if (is_measured) e.retry_after += delay_now(now);
          }
          if constexpr (std::is_same_v<decltype(e), grant_permit>) progress_at_ = now;
          out_.push_back(e);
        },
        effect);
  }
}

// Ends every event: follows up on each backend and hands out the effects.
queue_effects model_queue::finish(time_point now) {
  next_deadline_ = admission_.next_deadline();
  note_waits(now);
  for (auto& b : backends_) {
    answer_closing(b, now);
    ensure(b, now);
    report_activity(b, now);
    report_demand(b, now);
  }
  return std::exchange(out_, {});
}

// Answers each closing once. Requests in flight from an earlier life of this queue are known only
// when all shards have attached. A backend that was to close only if idle opens again when work has
// crossed the question: requests that shards began by credit, or tickets.
void model_queue::answer_closing(backend& b, time_point now) {
  if (!b.closing || !knows_all_shards()) return;
  const auto number = b.closing->number;
  if (admission_.held(b.id) == 0) {
    b.closing.reset();
    out_.push_back(tell_drained{b.id, number});
  } else if (b.closing->only_if_idle &&
             (admission_.waiting() > 0 || admission_.is_said_in_use(b.id))) {
    b.closing.reset();
    take_effects(admission_.open(b.id, b.units, now), now);
    out_.push_back(tell_not_idle{b.id, number});
  }
}

// Tells whether the backends should load: a ticket waits, or a client that did not wait for a
// closed queue was refused a moment ago and will ask again.
bool model_queue::is_wanted(time_point now) {
  if (admission_.waiting() > 0) return true;
  return now < interest_until_ && !admission_.is_open() && refusal_now(now) == nullptr;
}

void model_queue::ensure(backend& b, time_point now) {
  if (!is_wanted(now) || admission_.is_open(b.id)) {
    b.next_ensure = {};
    return;
  }
  if (now >= b.next_ensure) {
    out_.push_back(ensure_backend{b.id});
    b.next_ensure = now + ensure_gap;
  }
  wake_at(b.next_ensure);
}

// A report that nobody waits lets the backend withdraw its request for a lease. So it comes after
// ensure_ready, and a queue that starts anew says nothing before the shards have sent their
// tickets.
void model_queue::report_activity(backend& b, time_point now) {
  if (!knows_all_shards()) return;
  const told_activity current{admission_.last_active(b.id), is_wanted(now)};
  if (b.activity && *b.activity == current) return;
  if (now < b.next_activity) return wake_at(b.next_activity);
  out_.push_back(tell_activity{b.id, current.last_active, current.waiting});
  b.activity = current;
  b.next_activity = now + activity_gap;
}

holder_demand model_queue::demand_of(const backend& b) const {
  holder_demand d;
  const auto in_use = admission_.in_use(b.id);
  for (std::size_t i = 0; i < work_class_count; ++i) {
    const auto work = static_cast<work_class>(i);
    d.of(work) = {admission_.waiting(work), in_use[i], admission_.oldest_wait_since(work), {}};
  }
  d.of(work_class::realtime).last_active = admission_.last_active(b.id);  // of all classes together
  d.arrivals_per_s = arrivals_per_s_;
  d.expected_load = b.expected_load;
  return d;
}

void model_queue::report_demand(backend& b, time_point now) {
  if (!b.holder) return;
  const auto d = demand_of(b);
  const auto& told = b.demand;
  bool turned = !told, changed = false;
  for (std::size_t i = 0; told && i < work_class_count; ++i) {
    const auto &is = d.of_class[i], &was = told->of_class[i];
    turned =
        turned || (is.waiting == 0) != (was.waiting == 0) || (is.in_use == 0) != (was.in_use == 0);
    changed = changed || is.waiting != was.waiting || is.in_use != was.in_use ||
              is.oldest_wait_since != was.oldest_wait_since;
  }
  // last_active counts only while there is no work: a holder with work is active anyway.
  const bool idle_since =
      told && d.waiting() == 0 && d.in_use() == 0 && d.last_active() != told->last_active();
  if (!turned && !changed && !idle_since) return;
  const auto at = b.demand_told_at + (turned ? demand_turn_gap : demand_gap);
  if (told && now < at) return wake_at(at);
  out_.push_back(tell_demand{*b.holder, d});
  b.demand = d;
  b.demand_told_at = now;
}

}  // namespace signalbox::scheduling
