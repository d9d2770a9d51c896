// A holder of leases that is no model: a training run, or a program outside the gateway. It comes
// and goes, gives back what it is asked for, and sometimes says what makes no sense.
#pragma once

#include "tests/simulation/lease_holder.hpp"

namespace signalbox::simulation {

class gateway;

class outsider final : public lease_holder {
 public:
  outsider(gateway& g, pool_ref leases);

  actor_id actor() const { return actor_; }
  void start();
  // Its memory is free again when `then` is called.
  void end(callback then);
  void on(const holder_registered& m) override;
  void on(const signalbox::lease_granted& m) override;
  void on(const signalbox::lease_refused& m) override;
  void on(const lease_asked_back& m) override;

 private:
  void ask();
  void change_mind();
  void talk_nonsense();
  void release();

  gateway& g_;
  const actor_id actor_;
  const pool_ref leases_;
  holder_kind kind_;
  core::lease_request request_;
  bool is_asking_ = false;
  fencing_token token_ = 0;
  core::gpu_set gpus_;
};

}  // namespace signalbox::simulation
