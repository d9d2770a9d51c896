#include "actors/model_backend_actor.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "actors/backend_options.hpp"
#include "actors/backend_orders.hpp"
#include "actors/backend_report.hpp"
#include "actors/endpoint.hpp"
#include "actors/shell.hpp"

namespace signalbox {
namespace {

using scheduling::lifecycle_state;

// register_holder ──▶ gpu_lease ── holder_registered ──▶ an acquire_lease that had to wait for it
// queue ── ensure_ready ──▶ core ── acquire_lease ──▶ gpu_lease ── lease_granted ──▶ core
//   core ── start_runtime ──▶ driver ── runtime_ready ──▶ core ── open_queue ──▶ queue
// gpu_lease ── lease_asked_back ──▶ core ── close_queue ──▶ queue ── queue_drained ──▶ core
//   core ── stop_runtime ──▶ driver ── runtime_released ──▶ core ── release_lease ──▶ gpu_lease
// queue ── runtime_signs ──▶ core ── check_runtime ──▶ driver ── runtime_checked ──▶ core
class model_backend : public model_backend_actor::base {
 public:
  model_backend(caf::actor_config& cfg, const model_backend_options& options)
      : model_backend_actor::base(cfg),
        model_(options.model),
        backend_(options.backend),
        settings_(*options.settings),
        driver_(*options.driver),
        board_(*options.board),
        queue_(options.queue),
        leases_(options.leases),
        crashes_(options.crashes),
        core_(lifecycle_of(settings_, model_->options)) {
    end_on_exception(this, "model_backend " + config().name);
  }

  const char* name() const override { return "model_backend"; }

  void on_exit() override {
    handle_.reset();  // kills a running runtime, before the supervisor hears of our end
    queue_ = nullptr;
    leases_ = nullptr;
    crashes_ = nullptr;
    orders_.abandon();
    model_ = nullptr;  // the last owner of a model ends its metrics
  }

 protected:
  behavior_type make_behavior() override {
    introduce();
    tell_board();
    if (needs_lease(config())) {
      send(leases_, register_holder{config().name, holder_kind::model}, lease_holder_actor{this});
    }
    if (is_kept_ready(config())) handle([this](auto now) { return core_.ensure_ready(now); });
    finish();
    return {
        [this](const holder_registered& m) { on_registered(m.holder); },
        [this](const lease_granted& m) {
          handle([&](auto now) { return core_.lease_granted(m.token, m.gpus, now); });
        },
        [this](const lease_refused& m) { on_lease_refused(m); },
        [this](const lease_asked_back& m) {
          handle([&](auto now) { return core_.lease_asked_back(m.token, now, m.by_order); });
        },
        [this](const queue_control_actor& queue) { on_queue(queue); },
        [this](const crash_log_actor& crashes) { crashes_ = crashes; },
        [this](const ensure_ready&) { on_ensure_ready(); },
        [this](const queue_activity& m) {
          handle([&](auto now) { return core_.activity(m.last_active, m.waiting, now); });
        },
        [this](const keep_loaded& m) { handle([&](auto) { return core_.keep_loaded(m.idle); }); },
        [this](const runtime_signs& m) {
          handle([&](auto now) { return core_.runtime_noticed(m, now); });
        },
        [this](const queue_drained& m) { on_drained(m); },
        [this](const queue_not_idle& m) { on_not_idle(m); },
        [this](const runtime_event& m) { on_runtime_event(m); },
        [this](const model_changed& m) { on_changed(m); },
        [this](const order_start& m) { return on_order_start(m.is_switch); },
        [this](const order_stop& m) { return on_order_stop(m.graceful); },
        [this](const stop_when_idle&) { on_stop(&scheduling::model_lifecycle::stop_when_idle); },
        [this](const stop_all&) { on_stop(&scheduling::model_lifecycle::stop); },
        [this](tick) { on_tick(); },
    };
  }

 private:
  const config::model_options& config() const { return model_->options; }

  void on_registered(holder_id holder) {
    holder_ = holder;
    send(queue_, holder_known{backend_, holder_});
    if (std::exchange(is_acquire_due_, false)) acquire();
  }

  template <class Event>
  void handle(Event event) {
    const auto now = clock().now();
    apply(event(now), now);
    finish();
  }

  void on_lease_refused(const lease_refused& m) {
    last_failure_ = "The model needs more GPU memory than this machine has: see gpu_memory.";
    handle([&](time_point now) { return core_.lease_refused(m.why, now); });
  }

  // A queue that starts anew is closed, so we repeat the order that is in force. The runtime and
  // its requests in flight are not affected.
  void on_queue(const queue_control_actor& queue) {
    queue_ = queue;
    introduce();
    if (holder_ != 0) send(queue_, holder_known{backend_, holder_});
    const auto now = clock().now();
    tell_load(now);
    if (core_.may_admit() && endpoint_)
      send(queue_, open_queue{endpoint_, config().max_concurrent});
    if (core_.refuses_until_ready())
      carry_out(scheduling::refuse_requests{refusal::model_failed, {}, true}, now);
    if (core_.state() == lifecycle_state::draining) close(false);
    on_not_idle({closing_});  // the old queue will not answer; the new one is asked again
  }

  void on_ensure_ready() {
    if (stopping_) return;
    handle([&](time_point now) { return core_.ensure_ready(now); });
  }

  void on_drained(const queue_drained& m) {
    if (m.closing != closing_) return;
    handle([&](time_point now) { return core_.queue_drained(now); });
  }

  void on_not_idle(const queue_not_idle& m) {
    if (m.closing != closing_) return;
    handle([&](time_point now) { return core_.queue_not_idle(now); });
  }

  void on_runtime_event(const runtime_event& m) {
    const auto now = clock().now();
    std::visit([this, now](const auto& e) { on_event(e, now); }, m);
    finish();
  }

  void on_event(const runtime_spawned& e, time_point) {
    spdlog::debug("model {}: runtime {} has pid {}", config().name, e.incarnation, e.pid);
  }

  void on_event(const runtime_ready& e, time_point now) {
    if (e.incarnation != core_.incarnation()) return;
    endpoint_ = make_endpoint(backend_, config(), e, link_);
    apply(core_.runtime_ready(e.incarnation, now), now);
  }

  void on_event(const runtime_checked& e, time_point now) {
    if (!e.is_healthy) last_check_ = e.detail;
    apply(core_.runtime_checked(e.incarnation, e.is_healthy, now), now);
  }

  void on_event(const runtime_exited& e, time_point now) {
    last_exit_ = e;
    apply(core_.runtime_exited(e.incarnation, e.reason, now), now);
    last_exit_ = {};
  }

  // The next run may begin at once, so that its state does not tell of the end.
  void on_event(const runtime_released& e, time_point now) {
    const bool is_current = e.incarnation == core_.incarnation();
    apply(core_.runtime_released(e.incarnation, now), now);
    if (is_current) orders_.end_stops({order_end::done, {}});
  }

  caf::result<order_report> on_order_start(bool is_switch) {
    const auto answer = orders_.await_start(make_response_promise<order_report>());
    is_switch_ = is_switch;
    if (stopping_) {
      orders_.end_starts(backend_orders::replaced());
    } else {
      handle([&](time_point now) { return core_.order_start(now); });
    }
    return answer;
  }

  caf::result<order_report> on_order_stop(bool graceful) {
    const auto answer = orders_.await_stop(make_response_promise<order_report>());
    handle([&](auto now) { return graceful ? core_.stop(now) : core_.stop_at_once(now); });
    return answer;
  }

  void settle_orders() {
    if (core_.state() == lifecycle_state::stopped) orders_.end_stops({order_end::done, {}});
    if (core_.ordered() == scheduling::start_order::going_on) return;
    orders_.end_starts(report_of_start(core_, last_failure_));
  }

  void on_changed(const model_changed& m) {
    const auto units = config().max_concurrent;
    model_ = m.model;
    core_.set_options(lifecycle_of(settings_, config()));
    tell_board();
    set_rules(*link_, config());
    tell_load(clock().now());
    if (core_.state() == lifecycle_state::ready && config().max_concurrent != units)
      send(queue_, units_changed{backend_, config().max_concurrent});
    finish();
  }

  void on_stop(scheduling::lifecycle_effects (scheduling::model_lifecycle::*order)(time_point)) {
    stopping_ = true;
    handle([&](time_point now) { return (core_.*order)(now); });
  }

  void on_tick() {
    const auto now = clock().now();
    timer_.fired(now);
    const bool was_draining = core_.state() == lifecycle_state::draining;
    apply(core_.advance(now), now);
    if (was_draining && core_.state() == lifecycle_state::stopping)
      spdlog::warn("model {}: drain_timeout_s is over; requests are cut off", config().name);
    finish();
  }

  // The board comes first: whoever feels an effect, such as a refused request, then finds the state
  // that it comes from.
  void apply(const scheduling::lifecycle_effects& effects, time_point now) {
    tell_board();
    for (const auto& effect : effects) {
      std::visit([this, now](const auto& e) { carry_out(e, now); }, effect);
    }
  }

  void carry_out(const scheduling::ask_for_lease&, time_point) {
    is_acquire_due_ = holder_ == 0;
    if (!is_acquire_due_) acquire();
  }

  void acquire() {
    const bool is_pinned = config().residency == config::residency::pinned;
    const bool is_ordered = core_.ordered() == scheduling::start_order::going_on;
    send(leases_, acquire_lease{{holder_, need_of(config()), is_pinned, work_class::realtime,
                                 model_->index + 1, is_ordered, is_ordered && is_switch_}});
  }

  void carry_out(const scheduling::stop_asking&, time_point) {
    if (!std::exchange(is_acquire_due_, false)) send(leases_, withdraw_acquire{holder_});
  }

  void carry_out(const scheduling::give_lease_back& e, time_point) {
    send(leases_, release_lease{holder_, e.token});
  }

  void carry_out(const scheduling::start_runtime& e, time_point now) {
    load_started_ = now;
    started_at_ = std::chrono::system_clock::now();
    tell_board();
    const runtimes::run_request request{.incarnation = e.incarnation,
                                        .gpus = e.gpus,
                                        .start_timeout = from_seconds(config().start_timeout_s)};
    set_rules(*request.link, config());
    link_ = request.link;
    // The driver must not keep us alive; its messages to a dead actor are dropped.
    auto weak_self = caf::actor_cast<caf::weak_actor_ptr>(ctrl());
    handle_ = driver_.start(config(), request, [weak_self](runtime_event event) {
      const auto self = caf::actor_cast<model_backend_actor>(weak_self);
      if (self) caf::anon_send(self, std::move(event));
    });
  }

  void carry_out(const scheduling::stop_runtime& e, time_point) {
    if (handle_) handle_->stop(e.grace);
  }

  void carry_out(const scheduling::check_runtime&, time_point) {
    if (handle_) handle_->check();
  }

  void carry_out(const scheduling::admit_requests&, time_point) {
    send(queue_, open_queue{endpoint_, config().max_concurrent});
  }

  void carry_out(const scheduling::drain_requests&, time_point) { close(false); }

  void carry_out(const scheduling::drain_if_idle&, time_point) { close(true); }

  void introduce() { send(queue_, backend_added{backend_, backend_control_actor{this}}); }

  void close(bool only_if_idle) { send(queue_, close_queue{backend_, ++closing_, only_if_idle}); }

  void carry_out(const scheduling::refuse_requests& e, time_point) {
    send(queue_, refuse_waiting{backend_, e.why, to_seconds(e.retry_after),
                                refusal_detail(core_, e.why, cure_), e.until_ready});
  }

  void carry_out(const scheduling::record_exit& e, time_point now) {
    if (e.is_crash) {
      record_crash(e.reason, now);
    } else {
      spdlog::info("model {}: runtime {} ended as asked: {}", config().name, core_.incarnation(),
                   last_exit_.detail);
    }
    load_started_.reset();
  }

  void carry_out(const scheduling::loaded& e, time_point) {
    load_started_.reset();
    model_->meters->loaded(true, e.took);
  }

  void record_crash(scheduling::exit_reason reason, time_point now) {
    model_->meters->crashed(reason);
    if (load_started_) model_->meters->loaded(false, now - *load_started_);
    if (reason == scheduling::exit_reason::hung) last_exit_.detail = why_hung(core_, last_check_);
    log_crash(config().name, core_, reason, last_exit_);
    cure_ = last_exit_.cure;
    const auto detail = last_exit_.detail + with_cure(".", cure_);
    last_failure_ = fmt::format("{}: {}", to_string(reason), detail);
    crash_record crash{std::chrono::system_clock::now(), config().name,
                       std::string(to_string(reason)), detail, last_exit_.log_tail};
    send(crashes_, std::move(crash));
  }

  // Ends the handling of every message.
  void finish() {
    tell_state();
    settle_orders();
    if (stopping_ && core_.state() == lifecycle_state::stopped) return quit();
    timer_.arm(this, core_.next_deadline());
  }

  void tell_state() {
    if (core_.shown_state() == told_state_) return;
    told_state_ = core_.shown_state();
    tell_load(clock().now());
    if (core_.token() != 0) {
      spdlog::info("model {}: {} (run {}, lease {}, gpu {})", config().name, to_string(told_state_),
                   core_.incarnation(), core_.token(), indexes_of(core_.gpus()));
    } else {
      spdlog::info("model {}: {}", config().name, to_string(told_state_));
    }
  }

  void tell_board() {
    model_->meters->state_changed(core_.shown_state());
    auto status = status_of(core_, started_at_, endpoint_.get());
    status.backend = backend_;
    status.model = config().name;
    status.cure = cure_;
    board_.backend_changed(std::move(status), std::chrono::system_clock::now());
  }

  // While the backend waits for its lease, it is not known when the load begins.
  void tell_load(time_point now) {
    const auto s = core_.state();
    const bool is_due = s == lifecycle_state::starting || s == lifecycle_state::failed;
    send(queue_, load_estimated{backend_, core_.load_estimate(),
                                is_due ? now + core_.ready_in(now) : never});
  }

  served_model_ptr model_;
  const backend_id backend_;
  const config::settings& settings_;
  runtimes::runtime_driver& driver_;
  status_board& board_;
  queue_control_actor queue_;
  gpu_lease_actor leases_;
  crash_log_actor crashes_;

  scheduling::model_lifecycle core_;
  std::unique_ptr<runtimes::runtime_handle> handle_;
  std::shared_ptr<backend_link> link_ = std::make_shared<backend_link>();
  holder_id holder_ = 0;         // our number at the pool; 0: not registered yet
  bool is_acquire_due_ = false;  // ask for the lease once registered
  endpoint_ptr endpoint_;        // of the current run
  std::uint64_t closing_ = 0;    // number of the last close_queue; answers to older ones are void
  runtime_exited last_exit_{};   // the exit that is being handled
  std::string last_check_;       // what the last check that failed found
  std::string cure_;             // what may help against the last failure
  std::string last_failure_;     // for operators
  std::optional<time_point> load_started_;
  wall_time started_at_{};  // of the current or last run
  backend_orders orders_;
  bool is_switch_ = false;  // the last order to start was one
  lifecycle_state told_state_ = lifecycle_state::stopped;
  bool stopping_ = false;
  tick_timer timer_;
};

}  // namespace

model_backend_actor spawn_model_backend(caf::actor_system& system,
                                        const model_backend_options& options) {
  return system.spawn<model_backend>(options);
}

}  // namespace signalbox
