// Around the production scheduling::lease_arbiter, in the place of actors/gpu_lease_actor.cpp. The
// lines that correspond there: make_behavior() with options_of() and on_register to on_tick (here
// the constructor and the on() functions), apply, carry_out, and of finish() the timer. Left out:
// the log, the status board, metrics.
#pragma once

#include <map>

#include "scheduling/lease_arbiter.hpp"
#include "tests/simulation/lease_holder.hpp"

namespace signalbox::simulation {

class gateway;

class pool_shell {
 public:
  pool_shell(gateway& g, std::uint32_t epoch);

  pool_ref ref() { return {actor_, this}; }
  void on(const register_holder& m);
  void on(const signalbox::acquire_lease& m);
  void on(const signalbox::withdraw_acquire& m);
  void on(const signalbox::release_lease& m);
  void on(const demand_reported& m);
  void on(const actor_down& m);

  const core::lease_arbiter& arbiter() const { return core_; }

 private:
  std::map<holder_id, holder_ref>::iterator of(actor_id actor);
  void tick();
  void finish(const core::arbiter_effects& effects);
  void carry_out(const core::lease_grant& e);
  void carry_out(const core::lease_refusal& e);
  void carry_out(const core::ask_back& e);

  gateway& g_;
  const actor_id actor_;
  core::lease_arbiter core_;
  std::map<holder_id, holder_ref> holders_;
  std::map<holder_id, core::lease_request> requests_;  // the latest of each, for the rules
  holder_id last_holder_ = 0;
  tick_timer timer_;
};

}  // namespace signalbox::simulation
