#include "actors/model_queue_actor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "actors/apply_batch.hpp"
#include "actors/queue_reporter.hpp"
#include "actors/shell.hpp"

namespace signalbox {
namespace {

using namespace std::chrono_literals;

constexpr duration ensure_ready_gap = 1s;  // the backend may have stopped or failed meanwhile
constexpr duration interest = 1s;  // that a client shows who would not wait for a closed queue
constexpr duration activity_gap = 500ms;
constexpr duration demand_gap = 250ms;      // when only figures changed
constexpr duration demand_turn_gap = 20ms;  // when it became busy or idle: somebody may wait for it
constexpr double arrival_memory_s = 60;     // how far back the arrival rate looks

scheduling::admission_limits limits_of(const config::settings& s, const config::model_options& m) {
  return {m.max_concurrent, m.max_waiting, from_seconds(s.scheduling.max_starvation_s)};
}

std::string text_of(refusal why, const scheduling::admission_limits& limits) {
  switch (why) {
    case refusal::queue_full:
      return fmt::format("{} requests wait already", limits.max_waiting);
    case refusal::deadline_passed:
      return "it waited as long as it may for its turn";
    case refusal::shutting_down:
      return "the gateway shuts down";
    case refusal::model_failed:
      return "the model's runtime does not start";
    case refusal::does_not_fit:
      return "the model needs more GPU memory than there is";
  }
  return {};
}

// shard ── shard_batch ──▶ core ── effects ──▶ outbox ── one post per shard and message ──▶ shard
//
// While something waits and the queue is closed: ensure_ready ──▶ backend, once a second; and once
// for who comes then and would not wait.
//   backend ── open_queue ──▶ permits and credits flow
//   backend ── close_queue ──▶ credits recalled ── … last unit back, and all shards of an earlier
//                              life of ours heard ──▶ queue_drained ──▶ backend
//   backend ── refuse_waiting ──▶ all that wait are refused, and what comes, for that time; then
//                                 the next ticket is the probe (ensure_ready again)
class model_queue : public model_queue_actor::base {
 public:
  model_queue(caf::actor_config& cfg, const model_queue_options& options)
      : model_queue_actor::base(cfg),
        model_(options.model),
        name_(options.settings->models.at(model_).name),
        recorder_(*options.recorder),
        reporter_(*options.board, name_),
        shards_expected_(options.shards),
        core_(limits_of(*options.settings, options.settings->models[model_])),
        load_{from_seconds(options.settings->models[model_].expected_load_s)},
        reports_demand_(needs_lease(options.settings->models[model_])) {
    end_on_exception(this, "model_queue " + name_);
  }

  const char* name() const override { return "model_queue"; }

  void on_exit() override {
    backend_ = nullptr;
    leases_ = nullptr;
    shards_.clear();
  }

 protected:
  behavior_type make_behavior() override {
    return {
        [this](const model_backend_actor& backend) { on_backend(backend); },
        [this](const gpu_lease_actor& leases) { on_leases(leases); },
        [this](const shard_attached& m) { on_shard_attached(m); },
        [this](const shard_batch& m) { on_shard_batch(m); },
        [this](const open_queue& m) { on_open(m); },
        [this](const close_queue& m) { on_close(m); },
        [this](const refuse_waiting& m) { on_refuse_waiting(m); },
        [this](const load_estimated& m) { load_ = m; },
        [this](const get_queue_stats&) { return stats(); },
        [this](const stop_all&) { on_stop(); },
        [this](tick) { on_tick(); },
    };
  }

 private:
  struct refusal_in_force {
    refusal why;
    time_point until;
    std::string detail;
  };

  void on_backend(const model_backend_actor& backend) {
    const auto now = clock().now();
    // A backend started anew has no runtime yet: nothing more may go to the old one's.
    if (backend_ && backend_ != backend) apply(core_.close(now));
    backend_ = backend;
    closing_.reset();
    next_ensure_ready_ = {};
    told_.reset();
    next_activity_ = {};
    finish(now);
  }

  void on_leases(const gpu_lease_actor& leases) {
    const auto now = clock().now();
    leases_ = leases;
    reported_ = {};
    finish(now);
  }

  void on_shard_attached(const shard_attached& m) {
    const auto now = clock().now();
    shards_[m.shard] = m.inbox;
    next_activity_ = now + activity_gap;  // the tickets that it still has follow
    apply(core_.attach_shard(m.shard, m.in_use, now));
    finish(now);
  }

  void on_shard_batch(const shard_batch& m) {
    // From a shard that has yet to hear queue_restarted: it will attach and send its tickets again.
    if (!shards_.contains(m.shard)) return;
    const auto now = clock().now();
    const auto carry_out_all = [this](const auto& effects) { apply(effects); };
    if (is_refusing(now)) {
      auto rest = m;
      for (const auto& t : std::exchange(rest.tickets, {})) refuse(t, now);
      apply_batch(rest, core_, now, carry_out_all);
    } else {
      for (const auto& t : m.tickets) {
        if (!core_.is_open() && t.deadline <= now) interest_until_ = now + interest;
      }
      apply_batch(m, core_, now, carry_out_all);
    }
    settled_.completed += m.settled.completed;
    settled_.failed += m.settled.failed;
    settled_.timed_out += m.settled.timed_out;
    count_arrivals(m.settled.total(), now);
    for (const auto id : m.place_queries) tell_place(m.shard, id, now);
    finish(now);
  }

  bool is_refusing(time_point now) {
    if (refusing_ && now >= refusing_->until) refusing_.reset();
    return refusing_.has_value();
  }

  void refuse(const scheduling::ticket& t, time_point now) {
    const auto rest = refusing_->until == never ? duration::zero() : refusing_->until - now;
    outbox_[t.shard].emplace_back(
        ticket_refused{model_, t.id, refusing_->why, to_seconds(rest), refusing_->detail});
  }

  void tell_place(shard_id shard, ticket_id id, time_point now) {
    const auto place = core_.place(id, now);
    if (!place) return;
    const auto eta = place->estimate + rest_of_load(now);
    outbox_[shard].emplace_back(ticket_placed{model_, id, place->position, to_seconds(eta)});
  }

  // Until the model can be ready.
  duration rest_of_load(time_point now) const {
    if (core_.is_open()) return duration::zero();
    if (load_.ready_at == never) return load_.expected_load;
    return std::max(duration::zero(), load_.ready_at - now);
  }

  void on_open(const open_queue& m) {
    const auto now = clock().now();
    // Permits of another run must not be mixed with this one's.
    if (core_.is_open() && endpoint_->incarnation != m.endpoint->incarnation) {
      apply(core_.close(now));
    }
    endpoint_ = m.endpoint;
    closing_.reset();
    if (!stopping_) refusing_.reset();
    apply(core_.open(now));
    finish(now);
  }

  void on_close(const close_queue& m) {
    const auto now = clock().now();
    const bool idle = core_.waiting() == 0 && core_.in_use() == 0 && knows_all_shards();
    if (m.only_if_idle && !idle) {
      send(backend_, queue_not_idle{m.closing});
    } else {
      apply(core_.close(now));
      closing_ = m.closing;
    }
    finish(now);
  }

  void on_refuse_waiting(const refuse_waiting& m) {
    const auto now = clock().now();
    const auto retry_after = from_seconds(m.retry_after_s);
    if (!stopping_) refusing_ = refusal_in_force{m.why, now + retry_after, m.detail};
    apply(core_.refuse_all(m.why, retry_after, now));
    finish(now);
  }

  void on_stop() {
    const auto now = clock().now();
    stopping_ = true;
    refusing_ = refusal_in_force{refusal::shutting_down, never,
                                 text_of(refusal::shutting_down, core_.limits())};
    apply(core_.refuse_all(refusal::shutting_down, duration::zero(), now));
    finish(now);
  }

  void on_tick() {
    const auto now = clock().now();
    timer_.fired(now);
    apply(core_.advance(now));
    finish(now);
  }

  queue_stats stats() const {
    return {name_,
            core_.in_use(),
            core_.waiting(),
            core_.limits().max_concurrent,
            core_.limits().max_waiting,
            settled_.completed,
            settled_.failed,
            settled_.timed_out};
  }

  void apply(const scheduling::admission_effects& effects) {
    for (const auto& effect : effects) {
      std::visit([this](const auto& e) { carry_out(e); }, effect);
    }
  }

  void carry_out(const scheduling::grant_permit& e) {
    outbox_[e.shard].emplace_back(permit_granted{model_, e.id, endpoint_, e.charge});
  }

  void carry_out(const scheduling::refuse_ticket& e) {
    if (e.why == refusal::deadline_passed) ++settled_.timed_out;
    // The core knows how fast a ready model serves, and refuse_waiting says its own time.
    const bool is_measured = e.why == refusal::deadline_passed || e.why == refusal::queue_full;
    const auto load = is_measured ? rest_of_load(clock().now()) : duration::zero();
    const bool told_why = refusing_ && refusing_->why == e.why;
    const auto detail = told_why ? refusing_->detail : text_of(e.why, core_.limits());
    outbox_[e.shard].emplace_back(
        ticket_refused{model_, e.id, e.why, to_seconds(e.retry_after + load), detail});
  }

  void carry_out(const scheduling::give_credits& e) {
    outbox_[e.shard].emplace_back(credits_given{model_, e.count, endpoint_});
  }

  void carry_out(const scheduling::recall_credits& e) {
    outbox_[e.shard].emplace_back(credits_recalled{model_});
  }

  // Somebody waits; or would not, was refused, and will ask again: the load is for them too.
  bool is_wanted(time_point now) const {
    return core_.waiting() > 0 || (now < interest_until_ && !core_.is_open() && !refusing_);
  }

  bool knows_all_shards() const { return shards_.size() >= shards_expected_; }

  // What every handled message ends with.
  void finish(time_point now) {
    for (auto& [shard, events] : outbox_) {
      const auto found = shards_.find(shard);
      if (found != shards_.end() && !events.empty()) found->second->post(std::move(events));
    }
    outbox_.clear();
    recorder_.queue_depth(model_, core_.waiting());
    timer_.arm(this, reporter_.report(figures(), now));
    tell_drained();
    ask_for_backend(now);
    tell_activity(now);
    tell_demand(now);
    timer_.arm(this, core_.next_deadline());
  }

  queue_figures figures() const {
    const auto units = core_.is_open() ? core_.limits().max_concurrent : 0;
    return {core_.waiting(), core_.in_use(), units};
  }

  // Once for each closing. What a shard has in flight from an earlier life of ours is known when it
  // has attached; the backend bounds the wait.
  void tell_drained() {
    if (!closing_ || core_.held() > 0 || !knows_all_shards()) return;
    send(backend_, queue_drained{*closing_});
    closing_.reset();
  }

  void ask_for_backend(time_point now) {
    if (!is_wanted(now) || core_.is_open() || !backend_) {
      next_ensure_ready_ = {};
      return;
    }
    if (now >= next_ensure_ready_) {
      send(backend_, ensure_ready{});
      next_ensure_ready_ = now + ensure_ready_gap;
    }
    timer_.arm(this, next_ensure_ready_);
  }

  // "Nobody waits" lets the backend withdraw its request for a lease: it is said after
  // ensure_ready, and not by a queue started anew before the shards have sent their tickets again.
  void tell_activity(time_point now) {
    const queue_activity current{core_.last_active(), is_wanted(now)};
    if (!backend_ || !knows_all_shards()) return;
    if (told_ && current.last_active == told_->last_active && current.waiting == told_->waiting) {
      return;
    }
    if (now < next_activity_) return timer_.arm(this, next_activity_);
    send(backend_, current);
    told_ = current;
    next_activity_ = now + activity_gap;
  }

  void tell_demand(time_point now) {
    if (!reports_demand_ || !leases_) return;
    scheduling::holder_demand d;
    d.waiting = core_.waiting();
    d.in_use = core_.in_use();
    d.oldest_wait_since = core_.oldest_wait_since();
    d.last_active = core_.last_active();
    d.arrivals_per_s = arrivals_per_s_;
    d.expected_load = load_.expected_load;
    const bool turned = !reported_ || (d.waiting == 0) != (reported_->waiting == 0) ||
                        (d.in_use == 0) != (reported_->in_use == 0);
    // While it has work it is active, whatever the last report says.
    const bool idle_since =
        reported_ && d.waiting == 0 && d.in_use == 0 && d.last_active != reported_->last_active;
    const bool changed = turned || idle_since || d.waiting != reported_->waiting ||
                         d.in_use != reported_->in_use ||
                         d.oldest_wait_since != reported_->oldest_wait_since;
    if (!changed) return;
    const auto at = last_demand_ + (turned ? demand_turn_gap : demand_gap);
    if (reported_ && now < at) return timer_.arm(this, at);
    send(leases_, demand_reported{model_, d});
    reported_ = d;
    last_demand_ = now;
  }

  // Requests by credit are seen only as they end, which gives the same rate.
  void count_arrivals(std::uint32_t ended, time_point now) {
    const double elapsed_s = to_seconds(now - arrivals_counted_at_);
    arrivals_per_s_ =
        arrivals_per_s_ * std::exp(-elapsed_s / arrival_memory_s) + ended / arrival_memory_s;
    arrivals_counted_at_ = now;
  }

  const model_index model_;
  const std::string name_;
  metrics& recorder_;
  queue_reporter reporter_;
  const std::size_t shards_expected_;
  scheduling::admission core_;
  load_estimated load_;
  const bool reports_demand_;

  model_backend_actor backend_;
  gpu_lease_actor leases_;
  std::map<shard_id, shard_inbox_ptr> shards_;
  std::optional<std::uint64_t> closing_;  // the close_queue that is not answered yet
  endpoint_ptr endpoint_;                 // of the run that is, or was last, open
  std::map<shard_id, std::vector<shard_event>> outbox_;

  std::optional<refusal_in_force> refusing_;
  bool stopping_ = false;
  struct {
    std::uint64_t completed = 0, failed = 0, timed_out = 0;
  } settled_;

  tick_timer timer_;
  time_point interest_until_{};
  time_point next_ensure_ready_{};
  std::optional<queue_activity> told_;
  time_point next_activity_{};
  std::optional<scheduling::holder_demand> reported_;
  time_point last_demand_{};
  double arrivals_per_s_ = 0;
  time_point arrivals_counted_at_{};
};

}  // namespace

model_queue_actor spawn_model_queue(caf::actor_system& system, const model_queue_options& options) {
  return system.spawn<model_queue>(options);
}

}  // namespace signalbox
