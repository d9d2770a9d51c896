#include "tests/simulation/outsider.hpp"

#include <utility>

#include "tests/simulation/gateway.hpp"
#include "tests/simulation/pool_shell.hpp"

namespace signalbox::simulation {

using namespace std::chrono_literals;

namespace {

constexpr duration process_ends = 200ms;  // at most

}  // namespace

outsider::outsider(gateway& g, pool_ref leases)
    : g_(g), actor_(g.w.begin_actor()), leases_(leases) {
  auto& w = g.w;
  kind_ = w.chance(0.5) ? holder_kind::training : holder_kind::outside;
  if (kind_ == holder_kind::training && w.chance(0.5)) {
    request_.need = core::whole_machine;
  } else {
    request_.need = {(1 + w.below(12)) * gib,
                     static_cast<std::uint32_t>(1 + w.below(g.s.machine.gpu_memory.size()))};
  }
  request_.work = kind_ == holder_kind::training ? work_class::training : work_class::realtime;
}

void outsider::start() {
  send(g_.w, actor_, leases_, register_holder{kind_, holder_ref{actor_, this}});
}

void outsider::on(const holder_registered& m) {
  request_.holder = m.holder;
  g_.w.after(
      g_.w.between(0s, 20s), [this] { ask(); }, actor_);
}

void outsider::ask() {
  auto& w = g_.w;
  if (w.chance(0.3)) talk_nonsense();
  if (std::exchange(is_asking_, true) || token_ != 0) return;
  send(w, actor_, leases_, signalbox::acquire_lease{request_});
  if (w.chance(0.2))
    w.after(
        w.between(0s, 5s), [this] { change_mind(); }, actor_);
}

void outsider::change_mind() {
  if (!std::exchange(is_asking_, false)) return;
  send(g_.w, actor_, leases_, signalbox::withdraw_acquire{request_.holder});
  g_.w.after(
      g_.w.between(1s, 20s), [this] { ask(); }, actor_);
}

// All of it is ignored: old tokens, unknown holders, a second request.
void outsider::talk_nonsense() {
  auto& w = g_.w;
  auto unknown = request_;
  unknown.holder = 1000000;
  send(w, actor_, leases_, signalbox::acquire_lease{unknown});
  send(w, actor_, leases_, signalbox::release_lease{request_.holder, token_ - 1});
  send(w, actor_, leases_, signalbox::release_lease{unknown.holder, token_});
  send(w, actor_, leases_, signalbox::withdraw_acquire{unknown.holder});
  if (token_ != 0) send(w, actor_, leases_, signalbox::acquire_lease{request_});
}

void outsider::on(const signalbox::lease_granted& m) {
  if (!std::exchange(is_asking_, false)) {  // it crossed the withdrawal
    return send(g_.w, actor_, leases_, signalbox::release_lease{request_.holder, m.token});
  }
  token_ = m.token;
  gpus_ = m.gpus;
  g_.gpus.occupy(gpus_, request_.need);
  if (g_.w.chance(0.3)) talk_nonsense();
  g_.w.after(
      g_.w.between(0s, 60s),
      [this, t = token_] {
        if (t == token_) release();
      },
      actor_);
}

void outsider::on(const signalbox::lease_refused&) {
  is_asking_ = false;
}

void outsider::on(const lease_asked_back& m) {
  if (m.token != token_) return;
  g_.w.after(
      g_.w.between(0s, 3s),
      [this, t = token_] {
        if (t == token_) release();
      },
      actor_);
}

void outsider::release() {
  g_.gpus.vacate(gpus_, request_.need);
  send(g_.w, actor_, leases_, signalbox::release_lease{request_.holder, std::exchange(token_, 0)});
  g_.w.after(
      g_.w.between(0s, 60s), [this] { ask(); }, actor_);
}

void outsider::end(callback then) {
  g_.w.after(g_.w.between(1ms, process_ends), [this, then = std::move(then)] {
    if (token_ != 0) g_.gpus.vacate(gpus_, request_.need);
    then();
  });
}

}  // namespace signalbox::simulation
