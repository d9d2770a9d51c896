#include "actors/gpu_lease_actor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/shell.hpp"

namespace signalbox {
namespace {

scheduling::arbiter_options options_of(const config::settings& s, std::uint32_t epoch) {
  scheduling::arbiter_options o;
  for (const auto& gpu : s.gpus) o.gpu_memory.push_back(gpu.memory);
  o.min_residency = from_seconds(s.scheduling.min_residency_s);
  o.max_swap_wait = from_seconds(s.scheduling.max_swap_wait_s);
  o.token_floor = fencing_token{epoch} << 32;
  return o;
}

// holder ── register_holder ──▶ a number for it ── holder_registered ──▶ holder
// holder ── acquire_lease ──▶ core ── lease_granted, lease_refused ──▶ holder
// outside_leases ── adopt_lease, resume_grants ──▶ core, and what waited since hold_grants
// model_queue ── demand_reported ──▶ core ── lease_asked_back ──▶ the holder that must give way
// holder ── release_lease, when its process tree is gone, or its end ──▶ core
//   core ── lease_granted ──▶ the next holder
class gpu_lease : public gpu_lease_actor::base {
 public:
  gpu_lease(caf::actor_config& cfg, const config::settings& settings, metrics& recorder,
            status_board& board, std::function<std::uint32_t()> next_epoch)
      : gpu_lease_actor::base(cfg),
        settings_(settings),
        recorder_(recorder),
        board_(board),
        next_epoch_(std::move(next_epoch)) {
    end_on_exception(this, "gpu_lease");
    set_down_handler([this](caf::down_msg& m) { on_down(m); });
  }

  const char* name() const override { return "gpu_lease"; }

  void on_exit() override { holders_.clear(); }

 protected:
  behavior_type make_behavior() override {
    core_.emplace(options_of(settings_, next_epoch_()));
    tell_state();  // no lease of an earlier pool is held any more
    return {
        [this](const register_holder& m, const lease_holder_actor& h) { on_register(m, h); },
        [this](const acquire_lease& m) { on_acquire(m); },
        [this](const withdraw_acquire& m) { on_withdraw(m.holder); },
        [this](const adopt_lease& m) { on_adopt(m); },
        [this](const hold_grants&) { early_.emplace(); },
        [this](const resume_grants&) { on_resume(); },
        [this](const release_lease& m) { on_release(m); },
        [this](const demand_reported& m) { on_demand(m); },
        [this](tick) { on_tick(); },
    };
  }

 private:
  struct holder {
    std::string name;
    holder_kind kind;
    lease_holder_actor actor;
    scheduling::holder_demand demand{};  // the latest, for the log
  };

  void on_register(const register_holder& m, const lease_holder_actor& actor) {
    const auto known = of(actor.address());
    const auto id = known == holders_.end() ? ++last_holder_ : known->first;
    if (known == holders_.end()) {
      holders_.emplace(id, holder{m.name, m.kind, actor});
      monitor(actor);
    }
    send(actor, holder_registered{id});
  }

  void on_acquire(const acquire_lease& m) {
    if (!holders_.contains(m.request.holder)) {  // the core hears only of known holders
      spdlog::warn("holder {}, which is not registered, asks for a lease", m.request.holder);
      return;
    }
    if (early_) return early_->push_back(m);
    const auto now = clock().now();
    apply(core_->acquire(m.request, now));
  }

  void on_adopt(const adopt_lease& m) {
    if (!holders_.contains(m.request.holder)) {
      spdlog::warn("holder {}, which is not registered, has a lease", m.request.holder);
      return;
    }
    const auto now = clock().now();
    apply(core_->adopt(m.request, m.gpus, now));
  }

  void on_resume() {
    if (!early_) return;
    const auto held = *std::exchange(early_, std::nullopt);
    for (const auto& m : held) on_acquire(m);
  }

  void forget_early(holder_id id) {
    if (early_) std::erase_if(*early_, [id](const auto& m) { return m.request.holder == id; });
  }

  void on_withdraw(holder_id id) {
    forget_early(id);
    const auto now = clock().now();
    apply(core_->withdraw(id, now));
  }

  void on_release(const release_lease& m) {
    const auto now = clock().now();
    apply(core_->release(m.holder, m.token, now));
  }

  void on_demand(const demand_reported& m) {
    const auto found = holders_.find(m.holder);
    if (found == holders_.end()) return;  // gone, which its queue has not heard yet
    const auto now = clock().now();
    found->second.demand = m.demand;
    apply(core_->demand(m.holder, m.demand, now));
  }

  // All that the holder ran is gone already, because it ends only after that.
  void on_down(const caf::down_msg& m) {
    const auto found = of(m.source);
    if (found == holders_.end()) return;
    const auto now = clock().now();
    const auto id = found->first;
    const auto leases = core_->leases();
    const bool had_lease = std::any_of(leases.begin(), leases.end(),
                                       [id](const auto& lease) { return lease.holder == id; });
    if (had_lease) spdlog::warn("{} ended without giving its lease back", label(id));
    forget_early(id);
    holders_.erase(found);
    apply(core_->remove(id, now));
  }

  void on_tick() {
    const auto now = clock().now();
    timer_.fired(now);
    apply(core_->advance(now));
  }

  // Ends the handling of a message. The board comes first: whoever feels an effect finds the state
  // that it comes from.
  void apply(const scheduling::arbiter_effects& effects) {
    tell_state();
    for (const auto& effect : effects) {
      std::visit([this](const auto& e) { carry_out(e); }, effect);
    }
    timer_.arm(this, core_->next_deadline());
  }

  void carry_out(const scheduling::lease_grant& e) {
    std::uint64_t used = 0, total = 0;
    for (const auto& share : e.gpus) {
      used += core_->used_memory(share.gpu);
      total += settings_.gpus.at(share.gpu).memory;
    }
    spdlog::info("gpu {}: lease {} granted to {} (rule {}), {} of {} MiB taken", indexes_of(e.gpus),
                 e.token, label(e.holder), to_string(e.rule), mebibytes(used), mebibytes(total));
    send(holders_.at(e.holder).actor, lease_granted{e.token, e.gpus});
  }

  void carry_out(const scheduling::lease_refusal& e) {
    spdlog::warn("gpu lease refused to {}: {}", label(e.holder), to_string(e.why));
    send(holders_.at(e.holder).actor, lease_refused{e.why});
  }

  void carry_out(const scheduling::ask_back& e) {
    const auto& own = holders_.at(e.holder);
    const auto& other = holders_.at(e.for_holder);
    spdlog::info(
        "lease {} of {} asked back for {} (rule {}): {} in flight and {} waiting against {} "
        "waiting",
        e.token, label(e.holder), label(e.for_holder), to_string(e.rule), own.demand.in_use(),
        own.demand.waiting(), other.demand.waiting());
    recorder_.swapped();
    send(own.actor, lease_asked_back{e.token, e.is_switch});
  }

  void tell_state() {
    std::vector<std::uint32_t> holders(settings_.gpus.size());
    const auto leases = core_->leases();
    for (const auto& lease : leases) {
      for (const auto& share : lease.gpus) ++holders[share.gpu];
    }
    for (std::uint32_t gpu = 0; gpu < holders.size(); ++gpu) {
      recorder_.leases(gpu, holders[gpu], core_->used_memory(gpu));
    }
    tell_board(leases);
  }

  void tell_board(const std::vector<scheduling::lease_view>& leases) {
    std::vector<lease_status> all;
    for (const auto& lease : leases) {
      lease_status status;
      status.token = lease.token;
      const auto& who = holders_.at(lease.holder);
      status.holder = who.name;
      status.kind = to_string(who.kind);
      status.gpus = lease.gpus;
      status.work = lease.work;
      status.asked_back = lease.asked_back;
      all.push_back(std::move(status));
    }
    board_.leases_changed(all, std::chrono::system_clock::now());
    std::vector<gpu_status> gpus;
    for (std::uint32_t gpu = 0; gpu < settings_.gpus.size(); ++gpu) {
      gpus.push_back({gpu, settings_.gpus[gpu].memory, core_->used_memory(gpu)});
    }
    board_.gpus_changed(gpus);
  }

  std::map<holder_id, holder>::iterator of(const caf::actor_addr& address) {
    return std::find_if(holders_.begin(), holders_.end(),
                        [&](const auto& h) { return h.second.actor.address() == address; });
  }

  // "model red"
  std::string label(holder_id id) const {
    const auto& h = holders_.at(id);
    return std::string(to_string(h.kind)) + " " + h.name;
  }

  static std::uint64_t mebibytes(std::uint64_t bytes) { return bytes / config::mib; }

  const config::settings& settings_;
  metrics& recorder_;
  status_board& board_;
  std::function<std::uint32_t()> next_epoch_;
  std::optional<scheduling::lease_arbiter> core_;
  std::map<holder_id, holder> holders_;
  holder_id last_holder_ = 0;
  std::optional<std::vector<acquire_lease>> early_;  // set between hold_grants and resume_grants
  tick_timer timer_;
};

}  // namespace

gpu_lease_actor spawn_gpu_lease(caf::actor_system& system, const config::settings& settings,
                                metrics& recorder, status_board& board,
                                std::function<std::uint32_t()> next_epoch) {
  return system.spawn<gpu_lease>(std::cref(settings), std::ref(recorder), std::ref(board),
                                 std::move(next_epoch));
}

}  // namespace signalbox
