// Around the production scheduling::model_lifecycle, in the place of
// actors/model_backend_actor.cpp. The lines that correspond there: make_behavior() and
// on_registered to on_tick (here start() and the on() functions), apply and carry_out, introduce,
// close, acquire, finish, tell_state, tell_load. Left out: the log, the status board, metrics and
// the crash log.
#pragma once

#include "scheduling/model_lifecycle.hpp"
#include "tests/simulation/lease_holder.hpp"
#include "tests/simulation/setup.hpp"

namespace signalbox::simulation {

class gateway;

class backend_shell final : public lease_holder {
 public:
  backend_shell(gateway& g, model_index model, backend_id id, queue_ref queue, pool_ref leases);

  backend_ref ref() { return {actor_, this}; }
  void start();
  void on(const holder_registered& m) override;
  void on(const signalbox::lease_granted& m) override;
  void on(const signalbox::lease_refused& m) override;
  void on(const lease_asked_back& m) override;
  void on(const queue_ref& m);
  void on(const ensure_ready& m);
  void on(const queue_activity& m);
  void on(const keep_loaded& m);
  void on(const runtime_signs& m);
  void on(const queue_drained& m);
  void on(const queue_not_idle& m);
  void on(const runtime_event& m);
  void on(const units_changed& m);
  void on(const stop_all& m);
  void on(const stop_when_idle& m);

  const core::model_lifecycle& life() const { return core_; }
  backend_id id() const { return id_; }
  // Its queue has yet to answer a closing.
  bool is_answer_due() const { return is_answer_due_; }

 private:
  void on_event(const runtime_spawned&) {}
  void on_event(const runtime_ready& e);
  void on_event(const runtime_checked& e);
  void on_event(const runtime_exited& e);
  void on_event(const runtime_released& e);
  void apply(const core::lifecycle_effects& effects);
  void carry_out(const core::ask_for_lease&);
  void carry_out(const core::stop_asking&);
  void carry_out(const core::give_lease_back& e);
  void carry_out(const core::start_runtime& e);
  void carry_out(const core::stop_runtime& e);
  void carry_out(const core::check_runtime& e);
  void carry_out(const core::admit_requests&);
  void carry_out(const core::drain_requests&);
  void carry_out(const core::drain_if_idle&) { close(true); }
  void carry_out(const core::refuse_requests& e);
  void carry_out(const core::record_exit& e);
  void carry_out(const core::loaded&);
  template <class Message>
  void tell_queue(Message m);
  void acquire();
  void introduce();
  void close(bool only_if_idle);
  void open();
  void tick();
  void finish();
  void tell_load();

  gateway& g_;
  const actor_id actor_;
  const model_index model_;
  const backend_id id_;
  const model_setup& setup_;
  queue_ref queue_;
  pool_ref leases_;
  core::model_lifecycle core_;
  holder_id holder_ = 0;
  bool is_acquire_due_ = false;
  endpoint_ptr endpoint_;
  std::uint64_t closing_ = 0;
  bool is_answer_due_ = false;
  core::lifecycle_state told_state_ = core::lifecycle_state::stopped;
  bool stopping_ = false;
  bool is_drained_ = false;  // for the rule: the queue has said so just now
  bool is_tick_ = false;     // for the rule: nothing else has happened
  tick_timer timer_;
};

}  // namespace signalbox::simulation
