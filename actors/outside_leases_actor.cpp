#include "actors/outside_leases_actor.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "actors/shell.hpp"
#include "runtimes/outside_process.hpp"

namespace signalbox {
namespace {

using scheduling::outside_state;
using scheduling::outside_verdict;

constexpr duration write_timeout = std::chrono::seconds(10);
constexpr duration end_patience = std::chrono::seconds(1);  // of who ends a lease
constexpr std::size_t max_waiting_answers = 4;              // for each lease

scheduling::outside_options options_of(const config::settings& s) {
  scheduling::outside_options o;
  o.yield_grace = from_seconds(s.scheduling.yield_grace_s);
  o.release_grace = from_seconds(s.scheduling.release_grace_s);
  return o;
}

// One for each lease, because the pool tells holders apart by their actors, and frees what an actor
// held when that ends. It passes on what it hears, with the lease's id; what it has to say, the
// actor of all leases says for it, in order.
lease_holder_actor spawn_holder(caf::actor_system& system, const std::string& id,
                                const outside_leases_actor& all) {
  return system.spawn([=](lease_holder_actor::pointer self) -> lease_holder_actor::behavior_type {
    const auto pass_on = [=](const auto& m) { self->send(all, outside_holder_told{id, m}); };
    return {
        [=](const holder_registered& m) { pass_on(m); },
        [=](const lease_granted& m) { pass_on(m); },
        [=](const lease_refused& m) { pass_on(m); },
        [=](const lease_asked_back& m) { pass_on(m); },
    };
  });
}

lease_writer_actor spawn_writer(caf::actor_system& system, const persistence::lease_file& file) {
  return system.spawn<caf::detached>([file]() -> lease_writer_actor::behavior_type {
    return {[file](const write_leases& m) {
      try {
        file.write(m.records);
        return true;
      } catch (const std::exception& e) {
        spdlog::error("no lease is granted to an outside program: {}", e.what());
        return false;
      }
    }};
  });
}

// route ── submit_lease ──▶ core ── acquire_lease ──▶ gpu_lease ── lease_granted ──▶ holder
//   holder ── outside_holder_told ──▶ core ── write_leases ──▶ lease_writer ── true ──▶ core
//   core ── lease_answer ──▶ route
// gpu_lease ── lease_asked_back ──▶ holder ──▶ core, and the next renew_lease is told
// route ── end_lease, or a deadline ──▶ core ── write_leases … release_lease ──▶ gpu_lease
class outside_leases : public outside_leases_actor::base {
 public:
  outside_leases(caf::actor_config& cfg, const config::settings& settings,
                 persistence::lease_file file)
      : outside_leases_actor::base(cfg), file_(std::move(file)), core_(options_of(settings)) {
    end_on_exception(this, "outside_leases");
  }

  const char* name() const override { return "outside_leases"; }

  // The holders stay until the pool ends: it ends with us, and nobody may have their memory before.
  void on_exit() override {
    if (writer_) send_exit(writer_, caf::exit_reason::user_shutdown);
    writer_ = nullptr;
    pool_ = nullptr;
    holders_.clear();
    answers_.clear();
  }

 protected:
  behavior_type make_behavior() override {
    writer_ = spawn_writer(system(), file_);
    apply(core_.restore(file_.read(), clock().now()));
    finish();
    return {
        [this](const submit_lease& m) { return on_submit(m); },
        [this](const find_lease& m) { return on_find(m); },
        [this](const renew_lease& m) { return on_renew(m); },
        [this](const end_lease& m) { return on_end(m); },
        [this](const list_leases& m) { return on_list(m); },
        [this](const gpu_lease_actor& pool) { on_pool(pool); },
        [this](const outside_holder_told& m) { on_told(m); },
        [this](tick) { on_tick(); },
    };
  }

 private:
  using answer_promise = caf::typed_response_promise<lease_answer>;

  // What the pool has heard of a lease, and what it has to hear yet.
  struct holder {
    lease_holder_actor actor;
    holder_id number = 0;     // 0: the pool has not answered yet
    fencing_token token = 0;  // the pool's; an adopted lease has an older one of its own
    bool adopts = false;
    time_point since{};
  };

  // An answer that waits for its lease to move.
  struct waiting_answer {
    answer_promise promise;
    time_point until;
    bool is_for_end = false;  // else for the grant, or the end
  };

  caf::result<lease_answer> on_submit(const submit_lease& m) {
    const auto now = clock().now();
    auto request = m.request;
    if (m.pid != 0) {
      request.process = runtimes::mark_process(m.pid);
      if (!request.process) return lease_answer{outside_verdict::unknown, true, {}};
    }
    return carry_out(request.id, core_.submit(request, now + m.wait, now), m.wait, false);
  }

  caf::result<lease_answer> on_find(const find_lease& m) {
    const auto now = clock().now();
    return carry_out(m.id, core_.ask(m.id, m.who, now + m.wait, now), m.wait, false);
  }

  caf::result<lease_answer> on_renew(const renew_lease& m) {
    return carry_out(m.id, core_.renew(m.id, m.who, m.token, clock().now()), {}, false);
  }

  caf::result<lease_answer> on_end(const end_lease& m) {
    return carry_out(m.id, core_.release(m.id, m.who, clock().now()), end_patience, true);
  }

  lease_list on_list(const list_leases& m) { return {core_.list(m.who)}; }

  // Answers when the lease has the state that is waited for, or the wait is over.
  caf::result<lease_answer> carry_out(const std::string& id,
                                      const scheduling::outside_answer& answer, duration wait,
                                      bool is_for_end) {
    apply(answer.effects);
    const auto view = core_.find(id);
    if (answer.verdict != outside_verdict::done || !view) {
      finish();
      return lease_answer{view ? answer.verdict : outside_verdict::unknown, false, {}};
    }
    auto& others = answers_[id];
    const bool is_late = wait <= duration::zero() || others.size() >= max_waiting_answers;
    if (is_late || has_come(*view, is_for_end)) {
      if (others.empty()) answers_.erase(id);
      finish();
      return lease_answer{outside_verdict::done, false, view};
    }
    auto promise = make_response_promise<answer_promise>();
    others.push_back({promise, clock().now() + wait, is_for_end});
    finish();
    return promise;
  }

  static bool has_come(const scheduling::outside_view& view, bool is_for_end) {
    return is_for_end ? view.state == outside_state::ended : view.state != outside_state::waiting;
  }

  void on_pool(const gpu_lease_actor& pool) {
    pool_ = pool;
    for (const auto& [id, h] : holders_) send_exit(h.actor, caf::exit_reason::user_shutdown);
    holders_.clear();
    unadopted_.clear();
    apply(core_.pool_restarted());
    resume_when_adopted();
    finish();
  }

  void on_told(const outside_holder_told& m) {
    const auto found = holders_.find(m.id);
    if (found == holders_.end()) return;  // its lease has ended
    std::visit([&](const auto& what) { on_told(m.id, found->second, what); }, m.what);
    finish();
  }

  void on_told(const std::string& id, holder& h, const holder_registered& m) {
    h.number = m.holder;
    const auto request = request_of(id, h);
    if (!request) return;
    if (h.adopts) {
      send(pool_, adopt_lease{*request, core_.memory_of(id)});
      tell_demand(h, request->work, false);
      unadopted_.erase(id);
      return resume_when_adopted();
    }
    send(pool_, acquire_lease{*request});
    tell_demand(h, request->work, true);
  }

  void on_told(const std::string& id, holder& h, const lease_granted& m) {
    h.token = m.token;
    if (const auto request = request_of(id, h)) tell_demand(h, request->work, false);
    apply(core_.memory_granted(id, m.token, m.gpus, clock().now()));
  }

  void on_told(const std::string& id, holder&, const lease_refused&) {
    apply(core_.memory_refused(id, clock().now()));
  }

  void on_told(const std::string& id, holder& h, const lease_asked_back& m) {
    if (m.token == h.token) apply(core_.asked_back(id, clock().now()));
  }

  std::optional<scheduling::lease_request> request_of(const std::string& id, const holder& h) {
    const auto view = core_.find(id);
    if (!view) return std::nullopt;
    scheduling::lease_request r;
    r.holder = h.number;
    r.need = view->request.need;
    r.work = view->request.work;
    return r;
  }

  // A program that has its memory uses it; one that waits is a ticket.
  void tell_demand(const holder& h, work_class work, bool waits) {
    scheduling::holder_demand demand;
    const std::uint32_t waiting = waits ? 1 : 0;
    demand.of(work) = {waiting, 1 - waiting, waits ? h.since : never, clock().now()};
    send(pool_, demand_reported{h.number, demand});
  }

  void resume_when_adopted() {
    if (pool_ && unadopted_.empty()) send(pool_, resume_grants{});
  }

  void on_tick() {
    const auto now = clock().now();
    timer_.fired(now);
    apply(core_.advance(now));
    for (auto it = answers_.begin(); it != answers_.end();) {
      auto& waiting = it->second;
      const auto view = core_.find(it->first);
      std::erase_if(waiting, [&](waiting_answer& a) {
        if (a.until > now) return false;
        a.promise.deliver(answer_of(view));
        return true;
      });
      it = waiting.empty() ? answers_.erase(it) : std::next(it);
    }
    finish();
  }

  static lease_answer answer_of(const std::optional<scheduling::outside_view>& view) {
    return {view ? outside_verdict::done : outside_verdict::unknown, false, view};
  }

  void apply(const scheduling::outside_effects& effects) {
    for (const auto& effect : effects) {
      std::visit([this](const auto& e) { carry_out(e); }, effect);
    }
  }

  void finish() {
    auto next = core_.next_deadline();
    for (const auto& [id, waiting] : answers_) {
      for (const auto& a : waiting) next = std::min(next, a.until);
    }
    timer_.arm(this, next);
  }

  void introduce(const std::string& id, bool adopts) {
    if (!pool_) return;  // all are introduced when it is known
    auto& h = holders_[id];
    h = {spawn_holder(system(), id, this), 0, 0, adopts, clock().now()};
    if (adopts) unadopted_.insert(id);
    send(pool_, register_holder{id, holder_kind::outside}, h.actor);
  }

  void carry_out(const scheduling::request_memory& e) { introduce(e.id, false); }

  void carry_out(const scheduling::adopt_memory& e) { introduce(e.id, true); }

  void carry_out(const scheduling::withdraw_request& e) {
    const auto found = holders_.find(e.id);
    if (found != holders_.end() && found->second.number != 0) {
      send(pool_, withdraw_acquire{found->second.number});
    }
    dismiss(e.id);
  }

  void carry_out(const scheduling::return_memory& e) {
    const auto found = holders_.find(e.id);
    if (found != holders_.end() && found->second.token != 0) {
      send(pool_, release_lease{found->second.number, found->second.token});
    }
    dismiss(e.id);
  }

  void dismiss(const std::string& id) {
    const auto found = holders_.find(id);
    if (found == holders_.end()) return;
    send_exit(found->second.actor, caf::exit_reason::user_shutdown);
    holders_.erase(found);
    if (unadopted_.erase(id) > 0) resume_when_adopted();
  }

  void carry_out(const scheduling::save_leases& e) {
    request(writer_, caf::timespan{write_timeout}, write_leases{core_.records()})
        .then([this, change = e.change](bool is_durable) { on_saved(change, is_durable); },
              [this, change = e.change](const caf::error&) {
                spdlog::error(
                    "no lease is granted to an outside program: writing leases.json "
                    "takes too long");
                on_saved(change, false);
              });
  }

  void on_saved(std::uint64_t change, bool is_durable) {
    apply(core_.saved(change, is_durable, clock().now()));
    finish();
  }

  void carry_out(const scheduling::look_for_process& e) {
    const auto view = core_.find(e.id);
    if (!view || !view->request.process) return;
    const bool is_gone = runtimes::has_process_ended(*view->request.process);
    apply(core_.process_seen(e.id, is_gone, clock().now()));
  }

  void carry_out(const scheduling::lease_moved& e) {
    const auto view = core_.find(e.id);
    if (!view) return;
    log(*view);
    const auto found = answers_.find(e.id);
    if (found == answers_.end()) return;
    std::erase_if(found->second, [&](waiting_answer& a) {
      if (!has_come(*view, a.is_for_end)) return false;
      a.promise.deliver(answer_of(view));
      return true;
    });
    if (found->second.empty()) answers_.erase(found);
  }

  static void log(const scheduling::outside_view& view) {
    const auto& r = view.request;
    if (view.state == outside_state::granted && view.yield_by == never) {
      spdlog::info("lease {} of key {} is granted, for {}: gpu {}, token {}", r.id, r.key_id,
                   to_string(r.work), indexes_of(view.gpus), view.token);
    } else if (view.state == outside_state::ending && view.end != scheduling::lease_end::released) {
      spdlog::warn(
          "lease {} of key {} is over ({}); its memory stays taken until its process is "
          "gone, or its grace is over",
          r.id, r.key_id, to_string(*view.end));
    }
  }

  void carry_out(const scheduling::lease_ended& e) {
    spdlog::log(e.is_verified ? spdlog::level::info : spdlog::level::warn,
                "lease {} has ended: {}{}", e.id, to_string(e.end),
                e.is_verified ? "" : "; unverified: its memory may still be in use");
  }

  const persistence::lease_file file_;
  scheduling::outside_leases core_;
  gpu_lease_actor pool_;
  lease_writer_actor writer_;
  std::map<std::string, holder> holders_;
  std::set<std::string> unadopted_;  // leases that the pool has to hear of before it grants others
  std::map<std::string, std::vector<waiting_answer>> answers_;
  tick_timer timer_;
};

}  // namespace

outside_leases_actor spawn_outside_leases(caf::actor_system& system,
                                          const config::settings& settings,
                                          persistence::lease_file file) {
  return system.spawn<outside_leases>(std::cref(settings), std::move(file));
}

}  // namespace signalbox
