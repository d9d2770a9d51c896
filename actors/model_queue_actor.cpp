#include "actors/model_queue_actor.hpp"

#include <map>
#include <utility>

#include "actors/queue_reporter.hpp"
#include "actors/shell.hpp"

namespace signalbox {
namespace {

scheduling::admission_limits limits_of(const config::model_options& model,
                                       const config::settings& settings) {
  return {model.max_concurrent, model.max_waiting,
          from_seconds(settings.scheduling.max_starvation_s)};
}

scheduling::model_queue_options core_options(const model_queue_options& options) {
  const auto& model = options.model->options;
  scheduling::model_queue_options core;
  core.limits = limits_of(model, *options.settings);
  core.expected_load = from_seconds(model.expected_load_s);
  core.shards = options.shards;
  return core;
}

// shard ── shard_batch ──▶ core ── effects ──▶ outbox ── one post per shard and message ──▶ shard
// backend ── open_queue, close_queue, refuse_waiting ──▶ core ── ensure_ready … ──▶ backend
//                                                        core ── demand_reported ──▶ gpu_lease
class model_queue_shell : public model_queue_actor::base {
 public:
  model_queue_shell(caf::actor_config& cfg, const model_queue_options& options)
      : model_queue_actor::base(cfg),
        model_(options.model),
        life_(options.life),
        settings_(*options.settings),
        reporter_(*options.board, model_->options.name),
        core_(core_options(options)) {
    end_on_exception(this, "model_queue " + model_->options.name);
  }

  const char* name() const override { return "model_queue"; }

  void on_exit() override {
    backends_.clear();
    leases_ = nullptr;
    shards_.clear();
    model_ = nullptr;  // the last owner of a model ends its metrics
  }

 protected:
  behavior_type make_behavior() override {
    return {
        [this](const backend_added& m) { on_backend_added(m); },
        [this](const open_queue& m) { on_open(m); },
        [this](const close_queue& m) { on_close(m); },
        [this](const refuse_waiting& m) { on_refuse_waiting(m); },
        [this](const load_estimated& m) { on_load_estimated(m); },
        [this](const holder_known& m) { carry_out(core_.set_holder(m.backend, m.holder, now())); },
        [this](const model_changed& m) { on_changed(m); },
        [this](const units_changed& m) { carry_out(core_.set_units(m.backend, m.units, now())); },
        [this](const preempt_class& m) { carry_out(core_.preempt(m.work, now())); },
        [this](const backend_removed& m) { on_backend_removed(m); },
        [this](const gpu_lease_actor& leases) { on_leases(leases); },
        [this](const shard_attached& m) { on_shard_attached(m); },
        [this](const shard_batch& m) { carry_out(core_.take(m, now())); },
        [this](const get_queue_stats&) { return stats(); },
        [this](const stop_all&) { carry_out(core_.stop(now())); },
        [this](tick) { on_tick(); },
    };
  }

 private:
  struct served_by {
    backend_control_actor actor;
    endpoint_ptr endpoint;  // of the run that is open or was open last
  };

  time_point now() { return clock().now(); }

  void on_backend_added(const backend_added& m) {
    backends_[m.backend].actor = m.actor;
    carry_out(core_.add_backend(m.backend, now()));
  }

  void on_backend_removed(const backend_removed& m) {
    carry_out(core_.remove_backend(m.backend, now()));
    backends_.erase(m.backend);
  }

  void on_open(const open_queue& m) {
    backends_[m.endpoint->backend].endpoint = m.endpoint;
    carry_out(core_.open(m.endpoint->backend, m.units, m.endpoint->incarnation, now()));
  }

  void on_close(const close_queue& m) {
    carry_out(core_.close(m.backend, m.closing, m.only_if_idle, now()));
  }

  void on_refuse_waiting(const refuse_waiting& m) {
    const auto retry_after = from_seconds(m.retry_after_s);
    carry_out(core_.refuse_waiting(m.backend, m.why, retry_after, m.detail, now(), m.until_ready));
  }

  void on_load_estimated(const load_estimated& m) {
    carry_out(core_.set_load(m.backend, m.expected_load, m.ready_at, now()));
  }

  void on_leases(const gpu_lease_actor& leases) {
    leases_ = leases;
    carry_out(core_.forget_holders(now()));
  }

  // A shard that is late answers an earlier queue here. It will hear of this one, and introduce
  // itself again. Units given to it between the two would be counted twice.
  void on_shard_attached(const shard_attached& m) {
    if (m.life != life_) return;
    shards_[m.shard] = m.inbox;
    carry_out(core_.attach_shard(m.shard, m.in_use, now()));
  }

  void on_changed(const model_changed& m) {
    model_ = m.model;
    reporter_.write_again();
    carry_out(core_.set_limits(limits_of(model_->options, settings_), now()));
  }

  void on_tick() {
    timer_.fired(now());
    carry_out(core_.advance(now()));
  }

  queue_stats stats() const {
    const auto& permits = core_.permits();
    const auto& settled = core_.settled();
    return {model_->options.name,
            total(permits.in_use()),
            permits.waiting(),
            model_->options.max_concurrent,
            model_->options.max_waiting,
            settled.completed,
            settled.failed,
            settled.timed_out + core_.timed_out()};
  }

  // Ends the handling of every message.
  void carry_out(const scheduling::queue_effects& effects) {
    for (const auto& effect : effects) {
      std::visit([this](const auto& e) { apply(e); }, effect);
    }
    for (auto& [shard, events] : outbox_) {
      const auto found = shards_.find(shard);
      if (found != shards_.end() && !events.empty()) found->second->post(std::move(events));
    }
    outbox_.clear();
    const auto& permits = core_.permits();
    model_->meters->queue_depth(permits.waiting());
    const queue_figures figures{permits.waiting(), total(permits.in_use()),
                                static_cast<std::uint32_t>(permits.units())};
    timer_.arm(this, std::min(core_.next_deadline(), reporter_.report(figures, now())));
  }

  void apply(const scheduling::grant_permit& e) {
    outbox_[e.shard].emplace_back(
        permit_granted{model_->index, e.id, backends_[e.backend].endpoint, e.charge, e.place});
  }
  void apply(const scheduling::refuse_ticket& e) {
    outbox_[e.shard].emplace_back(ticket_refused{
        model_->index, e.id, e.why, to_seconds(e.retry_after), core_.detail_of(e.why)});
  }
  void apply(const scheduling::give_credits& e) {
    outbox_[e.shard].emplace_back(
        credits_given{model_->index, e.count, backends_[e.backend].endpoint});
  }
  void apply(const scheduling::recall_credits& e) {
    outbox_[e.shard].emplace_back(credits_recalled{model_->index, e.backend});
  }
  void apply(const scheduling::preempt_permits& e) {
    outbox_[e.shard].emplace_back(class_preempted{model_->index, e.work});
  }
  void apply(const scheduling::tell_place& e) {
    outbox_[e.shard].emplace_back(
        ticket_placed{model_->index, e.id, e.position, to_seconds(e.eta)});
  }
  void apply(const scheduling::ensure_backend& e) {
    send(backends_[e.backend].actor, ensure_ready{});
  }
  void apply(const scheduling::tell_drained& e) {
    send(backends_[e.backend].actor, queue_drained{e.closing});
  }
  void apply(const scheduling::tell_not_idle& e) {
    send(backends_[e.backend].actor, queue_not_idle{e.closing});
  }
  void apply(const scheduling::tell_activity& e) {
    send(backends_[e.backend].actor, queue_activity{e.last_active, e.waiting});
  }
  void apply(const scheduling::tell_keep_loaded& e) {
    send(backends_[e.backend].actor, keep_loaded{e.idle});
  }
  void apply(const scheduling::tell_signs& e) { send(backends_[e.backend].actor, e.signs); }
  void apply(const scheduling::tell_demand& e) {
    if (leases_) send(leases_, demand_reported{e.holder, e.demand});
  }

  served_model_ptr model_;
  const std::uint32_t life_;
  const config::settings& settings_;
  queue_reporter reporter_;
  scheduling::model_queue core_;
  gpu_lease_actor leases_;
  std::map<backend_id, served_by> backends_;
  std::map<shard_id, shard_inbox_ptr> shards_;
  std::map<shard_id, std::vector<shard_event>> outbox_;
  tick_timer timer_;
};

}  // namespace

model_queue_actor spawn_model_queue(caf::actor_system& system, const model_queue_options& options) {
  return system.spawn<model_queue_shell>(options);
}

}  // namespace signalbox
