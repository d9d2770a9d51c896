#include "actors/gpu_lease_actor.hpp"

#include <spdlog/spdlog.h>

#include <map>
#include <vector>

#include "actors/shell.hpp"

namespace signalbox {
namespace {

scheduling::arbiter_options options_of(const config::settings& s) {
  scheduling::arbiter_options o;
  for (const auto& gpu : s.gpus) o.gpu_memory.push_back(gpu.memory);
  o.min_residency = from_seconds(s.scheduling.min_residency_s);
  o.max_swap_wait = from_seconds(s.scheduling.max_swap_wait_s);
  return o;
}

// model_backend ── acquire_lease ──▶ core ── lease_granted, lease_refused ──▶ model_backend
// model_queue ── demand_reported ──▶ core ── yield_lease ──▶ the backend that must give way
// model_backend ── release_lease (its process tree is gone) ──▶ core ── lease_granted ──▶ the next
class gpu_lease : public gpu_lease_actor::base {
 public:
  gpu_lease(caf::actor_config& cfg, const config::settings& settings, metrics& recorder,
            status_board& board)
      : gpu_lease_actor::base(cfg),
        settings_(settings),
        recorder_(recorder),
        board_(board),
        core_(options_of(settings)) {
    end_on_exception(this, "gpu_lease");
  }

  const char* name() const override { return "gpu_lease"; }

  void on_exit() override { holders_.clear(); }

 protected:
  behavior_type make_behavior() override {
    finish();  // nothing of an earlier life of ours is held any more
    return {
        [this](const acquire_lease& m, const lease_holder_actor& h) { on_acquire(m, h); },
        [this](const withdraw_acquire& m) { on_withdraw(m.holder); },
        [this](const release_lease& m) { on_release(m); },
        [this](const demand_reported& m) { on_demand(m); },
        [this](const holder_restarted& m) { on_holder_restarted(m.holder); },
        [this](tick) { on_tick(); },
    };
  }

 private:
  void on_acquire(const acquire_lease& m, const lease_holder_actor& holder) {
    const auto now = clock().now();
    holders_[m.request.holder] = holder;
    apply(core_.acquire(m.request, now));
    finish();
  }

  void on_withdraw(holder_id holder) {
    const auto now = clock().now();
    apply(core_.withdraw(holder, now));
    finish();
  }

  void on_release(const release_lease& m) {
    const auto now = clock().now();
    apply(core_.release(m.holder, m.token, now));
    finish();
  }

  void on_demand(const demand_reported& m) {
    const auto now = clock().now();
    demands_[m.holder] = m.demand;
    const auto effects = core_.demand(m.holder, m.demand, now);
    apply(effects);
    if (!effects.empty()) return finish();
    timer_.arm(this, core_.next_deadline());  // comes often, and no lease has changed
  }

  // What the dead holder ran is gone: the supervisor hears of its end only after that.
  void on_holder_restarted(holder_id holder) {
    const auto now = clock().now();
    holders_.erase(holder);
    apply(core_.withdraw(holder, now));
    for (const auto& lease : core_.leases()) {
      if (lease.holder == holder) apply(core_.release(holder, lease.token, now));
    }
    finish();
  }

  void on_tick() {
    const auto now = clock().now();
    timer_.fired(now);
    apply(core_.advance(now));
    finish();
  }

  void apply(const scheduling::arbiter_effects& effects) {
    for (const auto& effect : effects) {
      std::visit([this](const auto& e) { carry_out(e); }, effect);
    }
  }

  void carry_out(const scheduling::lease_grant& e) {
    std::uint64_t used = 0, total = 0;
    for (const auto& share : e.gpus) {
      used += core_.used_memory(share.gpu);
      total += settings_.gpus.at(share.gpu).memory;
    }
    spdlog::info("gpu {}: lease {} granted to model {} (rule {}), {} of {} MiB taken",
                 indexes_of(e.gpus), e.token, name_of(e.holder), e.rule, mebibytes(used),
                 mebibytes(total));
    const auto holder = holders_.find(e.holder);
    if (holder != holders_.end()) send(holder->second, lease_granted{e.token, e.gpus});
  }

  void carry_out(const scheduling::lease_refusal& e) {
    spdlog::warn("gpu lease refused to model {}: {}", name_of(e.holder), to_string(e.why));
    const auto holder = holders_.find(e.holder);
    if (holder != holders_.end()) send(holder->second, lease_refused{e.why});
  }

  void carry_out(const scheduling::ask_back& e) {
    const auto& own = demands_[e.holder];
    const auto& other = demands_[e.for_holder];
    spdlog::info(
        "lease {} of model {} asked back for model {} (rule {}): {} in flight and {} "
        "waiting against {} waiting",
        e.token, name_of(e.holder), name_of(e.for_holder), e.rule, own.in_use(), own.waiting(),
        other.waiting());
    recorder_.swapped();
    const auto holder = holders_.find(e.holder);
    if (holder != holders_.end()) send(holder->second, yield_lease{e.token});
  }

  // What every handled message ends with.
  void finish() {
    std::vector<std::uint32_t> holders(settings_.gpus.size());
    const auto leases = core_.leases();
    for (const auto& lease : leases) {
      for (const auto& share : lease.gpus) ++holders[share.gpu];
    }
    for (std::uint32_t gpu = 0; gpu < holders.size(); ++gpu) {
      recorder_.leases(gpu, holders[gpu], core_.used_memory(gpu));
    }
    tell_board(leases);
    timer_.arm(this, core_.next_deadline());
  }

  void tell_board(const std::vector<scheduling::lease_view>& leases) {
    std::vector<lease_status> all;
    for (const auto& lease : leases) {
      lease_status status;
      status.token = lease.token;
      status.holder = name_of(lease.holder);
      status.kind = "backend";
      status.gpus = lease.gpus;
      status.work = lease.work;
      status.yield_asked = lease.asked_back;
      all.push_back(std::move(status));
    }
    board_.leases_changed(all, std::chrono::system_clock::now());
    std::vector<gpu_status> gpus;
    for (std::uint32_t gpu = 0; gpu < settings_.gpus.size(); ++gpu) {
      gpus.push_back({gpu, settings_.gpus[gpu].memory, core_.used_memory(gpu)});
    }
    board_.gpus_changed(gpus);
  }

  const std::string& name_of(holder_id holder) const { return settings_.models.at(holder).name; }

  static std::uint64_t mebibytes(std::uint64_t bytes) { return bytes / config::mib; }

  const config::settings& settings_;
  metrics& recorder_;
  status_board& board_;
  scheduling::lease_arbiter core_;
  std::map<holder_id, lease_holder_actor> holders_;
  std::map<holder_id, scheduling::holder_demand> demands_;  // the latest, for the log
  tick_timer timer_;
};

}  // namespace

gpu_lease_actor spawn_gpu_lease(caf::actor_system& system, const config::settings& settings,
                                metrics& recorder, status_board& board) {
  return system.spawn<gpu_lease>(std::cref(settings), std::ref(recorder), std::ref(board));
}

}  // namespace signalbox
