#include "tests/simulation/backend_shell.hpp"

#include <utility>

#include "tests/simulation/gateway.hpp"
#include "tests/simulation/pool_shell.hpp"
#include "tests/simulation/queue_shell.hpp"

namespace signalbox::simulation {

using core::lifecycle_state;

backend_shell::backend_shell(gateway& g, model_index model, backend_id id, queue_ref queue,
                             pool_ref leases)
    : g_(g),
      actor_(g.w.begin_actor()),
      model_(model),
      id_(id),
      setup_(g.s.models[model]),
      queue_(queue),
      leases_(leases),
      core_(setup_.life) {}

template <class Message>
void backend_shell::tell_queue(Message m) {
  send(g_.w, actor_, queue_, std::move(m), g_.backends_of(model_));
}

void backend_shell::start() {
  introduce();
  if (setup_.life.needs_lease) {
    send(g_.w, actor_, leases_, register_holder{holder_kind::model, holder_ref{actor_, this}});
  }
  if (setup_.life.pinned) apply(core_.ensure_ready(g_.w.now()));
  finish();
}

void backend_shell::on(const holder_registered& m) {
  holder_ = m.holder;
  tell_queue(holder_known{id_, holder_});
  if (std::exchange(is_acquire_due_, false)) acquire();
}

void backend_shell::on(const signalbox::lease_granted& m) {
  apply(core_.lease_granted(m.token, m.gpus, g_.w.now()));
  finish();
}

void backend_shell::on(const signalbox::lease_refused& m) {
  apply(core_.lease_refused(m.why, g_.w.now()));
  finish();
}

void backend_shell::on(const lease_asked_back& m) {
  apply(core_.lease_asked_back(m.token, g_.w.now(), m.by_order));
  finish();
}

void backend_shell::on(const queue_ref& m) {
  queue_ = m;
  introduce();
  if (holder_ != 0) tell_queue(holder_known{id_, holder_});
  tell_load();
  if (core_.may_admit() && endpoint_) open();
  if (core_.refuses_until_ready())
    carry_out(core::refuse_requests{refusal::model_failed, {}, true});
  if (core_.state() == lifecycle_state::draining) close(false);
  on(queue_not_idle{closing_});
}

void backend_shell::on(const ensure_ready&) {
  if (stopping_) return;
  apply(core_.ensure_ready(g_.w.now()));
  finish();
}

void backend_shell::on(const queue_activity& m) {
  apply(core_.activity(m.last_active, m.waiting, g_.w.now()));
  finish();
}

void backend_shell::on(const keep_loaded& m) {
  apply(core_.keep_loaded(m.idle));
  finish();
}

void backend_shell::on(const runtime_signs& m) {
  apply(core_.runtime_noticed(m, g_.w.now()));
  finish();
}

void backend_shell::on(const queue_drained& m) {
  if (m.closing != closing_) return;
  is_answer_due_ = false;
  is_drained_ = true;
  apply(core_.queue_drained(g_.w.now()));
  is_drained_ = false;
  finish();
}

void backend_shell::on(const queue_not_idle& m) {
  if (m.closing != closing_) return;
  is_answer_due_ = false;
  apply(core_.queue_not_idle(g_.w.now()));
  finish();
}

void backend_shell::on(const runtime_event& m) {
  std::visit([this](const auto& e) { on_event(e); }, m);
  finish();
}

void backend_shell::on_event(const runtime_ready& e) {
  if (e.incarnation != core_.incarnation()) return;
  endpoint_ = std::make_shared<const backend_endpoint>(
      backend_endpoint{id_, e.host, e.address, e.port, "model", core_.incarnation()});
  apply(core_.runtime_ready(e.incarnation, g_.w.now()));
}

void backend_shell::on_event(const runtime_checked& e) {
  apply(core_.runtime_checked(e.incarnation, e.is_healthy, g_.w.now()));
}

void backend_shell::on_event(const runtime_exited& e) {
  apply(core_.runtime_exited(e.incarnation, e.reason, g_.w.now()));
}

void backend_shell::on_event(const runtime_released& e) {
  apply(core_.runtime_released(e.incarnation, g_.w.now()));
}

void backend_shell::on(const stop_all&) {
  stopping_ = true;
  apply(core_.stop(g_.w.now()));
  finish();
}

void backend_shell::on(const stop_when_idle&) {
  stopping_ = true;
  apply(core_.stop_when_idle(g_.w.now()));
  finish();
}

void backend_shell::on(const units_changed& m) {
  if (core_.state() == lifecycle_state::ready) tell_queue(units_changed{id_, m.units});
}

void backend_shell::tick() {
  timer_.fired(g_.w.now());
  is_tick_ = true;
  apply(core_.advance(g_.w.now()));
  is_tick_ = false;
  finish();
}

void backend_shell::apply(const core::lifecycle_effects& effects) {
  for (const auto& effect : effects) {
    std::visit([this](const auto& e) { carry_out(e); }, effect);
  }
}

void backend_shell::carry_out(const core::ask_for_lease&) {
  is_acquire_due_ = holder_ == 0;
  if (!is_acquire_due_) acquire();
}

void backend_shell::acquire() {
  send(g_.w, actor_, leases_,
       signalbox::acquire_lease{
           {holder_, setup_.need, setup_.is_pinned, work_class::realtime, model_ + 1}});
}

void backend_shell::carry_out(const core::stop_asking&) {
  if (std::exchange(is_acquire_due_, false)) return;
  send(g_.w, actor_, leases_, signalbox::withdraw_acquire{holder_});
}

void backend_shell::carry_out(const core::give_lease_back& e) {
  send(g_.w, actor_, leases_, signalbox::release_lease{holder_, e.token});
}

void backend_shell::carry_out(const core::start_runtime& e) {
  g_.gpus.start(ref(), id_, model_, e);
}

void backend_shell::carry_out(const core::stop_runtime& e) {
  g_.w.require(!is_drained_ || g_.gpus.in_flight(id_) == 0, "what is drained has nothing in flight",
               id_, g_.gpus.in_flight(id_));
  g_.w.require(!core_.watch().is_hung(g_.w.now(), {}) || g_.gpus.is_hung(id_, core_.incarnation()),
               "only a runtime that hangs is given up", id_);
  g_.gpus.stop(id_, e.grace);
}

void backend_shell::carry_out(const core::check_runtime&) {
  g_.gpus.check(id_);
}

void backend_shell::carry_out(const core::admit_requests&) {
  open();
}

void backend_shell::open() {
  is_answer_due_ = false;
  tell_queue(signalbox::open_queue{endpoint_, g_.units(model_)});
}

void backend_shell::carry_out(const core::drain_requests&) {
  g_.w.require(!is_tick_, "time alone cuts off no request", id_);
  close(false);
}

void backend_shell::introduce() {
  tell_queue(backend_added{id_, ref()});
}

void backend_shell::close(bool only_if_idle) {
  is_answer_due_ = true;
  tell_queue(signalbox::close_queue{id_, ++closing_, only_if_idle});
}

void backend_shell::carry_out(const core::refuse_requests& e) {
  tell_queue(signalbox::refuse_waiting{id_, e.why, to_seconds(e.retry_after), "it does not start",
                                       e.until_ready});
}

void backend_shell::carry_out(const core::record_exit& e) {
  g_.sum.hangs += e.reason == core::exit_reason::hung;
}

void backend_shell::carry_out(const core::loaded&) {
  ++g_.sum.loads;
}

void backend_shell::finish() {
  g_.touch(model_);
  if (core_.shown_state() != told_state_) {
    told_state_ = core_.shown_state();
    g_.w.note(core::to_string(told_state_).data(), id_, core_.token());
    tell_load();
  }
  if (stopping_ && core_.state() == lifecycle_state::stopped) {
    return g_.supervisor.backend_quits(actor_);
  }
  timer_.arm(g_.w, actor_, core_.next_deadline(), [this] { tick(); });
}

void backend_shell::tell_load() {
  const auto now = g_.w.now();
  const auto state = core_.state();
  const bool is_due = state == lifecycle_state::starting || state == lifecycle_state::failed;
  tell_queue(
      load_estimated{id_, core_.load_estimate(), is_due ? now + core_.ready_in(now) : never});
}

}  // namespace signalbox::simulation
