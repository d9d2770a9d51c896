#include "actors/supervisor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <utility>

#include "actors/crash_log_actor.hpp"
#include "actors/gpu_lease_actor.hpp"
#include "actors/key_registry_actor.hpp"
#include "actors/login_guard_actor.hpp"
#include "actors/model_backend_actor.hpp"
#include "actors/model_queue_actor.hpp"
#include "actors/shell.hpp"
#include "actors/usage_ledger_actor.hpp"
#include "scheduling/restart_policy.hpp"

namespace signalbox {
namespace {

const char* text_of(child_kind kind) {
  switch (kind) {
    case child_kind::crash_log:
      return "crash_log";
    case child_kind::usage_ledger:
      return "usage_ledger";
    case child_kind::key_registry:
      return "key_registry";
    case child_kind::login_guard:
      return "login_guard";
    case child_kind::gpu_lease:
      return "gpu_lease";
    case child_kind::model_queue:
      return "model_queue";
    case child_kind::model_backend:
      return "model_backend";
  }
  return "?";
}

// The consequences of a child's end, and of its restart:
//   model_queue    The shards introduce themselves and send their tickets again, and the backend
//                  tells its state. The runtime and the requests in flight go on.
//   model_backend  Its runtime is killed, the lease pool frees its lease, and the queue closes.
//   gpu_lease      The holders of memory are not known any more, so all backends end with it and
//                  start again.
//   key_registry   The known keys stay in force, and the new registry tells all keys again.
//   login_guard    Failed logins are forgotten.
//   crash_log, usage_ledger   What they had not written is lost.
class supervisor : public supervisor_actor::base {
 public:
  supervisor(caf::actor_config& cfg, const supervisor_options& options)
      : supervisor_actor::base(cfg), options_(options) {
    end_on_exception(this, "supervisor");
    set_down_handler([this](caf::down_msg& m) { on_down(m); });
  }

  const char* name() const override { return "supervisor"; }

  void on_exit() override {
    if (!stopping_) fatal();
    children_.clear();
    handles_ = {};
    inboxes_.clear();
    subscription_ = {};
    options_ = {};
  }

 protected:
  behavior_type make_behavior() override {
    start_all();
    return {
        [this](const shard_attached& m) { return on_shard_attached(m); },
        [this](const subscribe_keys& m) {
          subscription_ = m;
          return delegate(handles_.keys, m);
        },
        [this](const stop_all&) { return stopping_ = true; },
        [this](const restart_child& m) { on_restart(m); },
    };
  }

 private:
  struct child {
    child(child_kind k, model_index m) : kind(k), model(m) {}

    child_kind kind;
    model_index model;
    scheduling::restart_policy policy{scheduling::restart_options{}};
    caf::actor_addr address;
    backend_id backend = 0;  // of the present start; 0 if it is no backend
    bool alive = false;
  };

  void start_all() {
    const auto models = static_cast<model_index>(options_.settings->models.size());
    handles_.queues.resize(models);
    handles_.backends.resize(models);
    for (auto kind : {child_kind::crash_log, child_kind::usage_ledger, child_kind::key_registry,
                      child_kind::login_guard, child_kind::gpu_lease}) {
      children_.emplace_back(kind, no_model);
    }
    for (auto kind : {child_kind::model_queue, child_kind::model_backend}) {
      for (model_index m = 0; m < models; ++m) children_.emplace_back(kind, m);
    }
    for (auto& c : children_) start(c);
    publish();
  }

  void start(child& c) {
    switch (c.kind) {
      case child_kind::crash_log:
        start_crash_log(c);
        break;
      case child_kind::usage_ledger:
        start_usage_ledger(c);
        break;
      case child_kind::key_registry:
        start_key_registry(c);
        break;
      case child_kind::login_guard:
        handles_.logins = spawn_login_guard(system(), *options_.settings);
        watch(c, handles_.logins);
        break;
      case child_kind::gpu_lease:
        start_gpu_lease(c);
        break;
      case child_kind::model_queue:
        start_queue(c);
        break;
      case child_kind::model_backend:
        start_backend(c);
        break;
    }
  }

  void start_crash_log(child& c) {
    handles_.crashes = spawn_crash_log(system(), *options_.db);
    watch(c, handles_.crashes);
    for (const auto& backend : handles_.backends) {
      if (backend) send(backend, handles_.crashes);
    }
  }

  void start_usage_ledger(child& c) {
    handles_.usage =
        spawn_usage_ledger(system(), *options_.settings, *options_.db, *options_.recorder);
    watch(c, handles_.usage);
  }

  void start_key_registry(child& c) {
    handles_.keys = spawn_key_registry(system(), *options_.db, *options_.recorder);
    watch(c, handles_.keys);
    if (subscription_.listener) caf::anon_send(handles_.keys, subscription_);
  }

  void start_gpu_lease(child& c) {
    handles_.leases = spawn_gpu_lease(system(), *options_.settings, *options_.recorder,
                                      *options_.board, options_.next_epoch);
    watch(c, handles_.leases);
    for (const auto& queue : handles_.queues) {
      if (queue) send(queue, handles_.leases);
    }
  }

  void start_queue(child& c) {
    auto& queue = handles_.queues[c.model];
    queue = spawn_model_queue(
        system(), {c.model, options_.settings, options_.recorder, options_.board, inboxes_.size()});
    watch(c, queue);
    send(queue, handles_.leases);
    const auto& backend = handles_.backends[c.model];
    if (backend) send(backend, queue_control_actor{queue});
  }

  void start_backend(child& c) {
    auto& backend = handles_.backends[c.model];
    const auto& queue = handles_.queues[c.model];
    c.backend = ++last_backend_;
    backend = spawn_model_backend(
        system(), {c.model, c.backend, options_.settings, options_.driver, options_.recorder,
                   options_.board, queue, handles_.leases, handles_.crashes});
    watch(c, backend);
  }

  template <class Handle>
  void watch(child& c, const Handle& handle) {
    monitor(handle);
    c.address = handle.address();
    c.alive = true;
  }

  bool on_shard_attached(const shard_attached& m) {
    inboxes_[m.shard] = m.inbox;
    for (const auto& queue : handles_.queues) send(queue, m);
    return true;
  }

  void on_down(const caf::down_msg& m) {
    const auto found = std::find_if(children_.begin(), children_.end(), [&m](const child& c) {
      return c.alive && c.address == m.source;
    });
    if (found == children_.end()) return;
    found->alive = false;
    if (found->kind == child_kind::model_backend) {
      options_.board->backend_gone(found->backend);
    }
    if (stopping_) return;
    if (found->kind == child_kind::model_backend) {
      send(handles_.queues[found->model], backend_removed{found->backend});
      if (!of(child_kind::gpu_lease).alive) return restart_leases();  // backends end with the pool
    }
    spdlog::error("{} ended: {}", label(*found), system().render(m.reason));
    const auto now = clock().now();
    const auto decision = found->policy.died(now);
    if (const auto* restart = std::get_if<scheduling::restart_at>(&decision)) {
      scheduled_send(this, restart->when, restart_child{found->kind, found->model});
    } else {
      spdlog::critical("{} ended too often: giving up", label(*found));
      return fatal();
    }
    if (found->kind == child_kind::gpu_lease) {
      for (const auto& backend : handles_.backends) send_exit(backend, caf::exit_reason::kill);
    }
  }

  void on_restart(const restart_child& m) {
    auto& c = of(m.kind, m.model);
    if (stopping_ || c.alive) return;
    if (m.kind == child_kind::gpu_lease) {
      leases_due_ = true;
      return restart_leases();
    }
    // A backend needs the lease pool, so it is started together with that.
    if (m.kind == child_kind::model_backend && !of(child_kind::gpu_lease).alive) return;
    restart(c);
    publish();
    if (m.kind != child_kind::model_queue) return;
    // This comes after publish(), because a shard that hears it must find the new queue.
    for (const auto& [shard, inbox] : inboxes_) inbox->post({queue_restarted{m.model}});
  }

  // Starts the lease pool again when the last backend is gone and its runtime too, so that no
  // memory is in use.
  void restart_leases() {
    const auto is_living_backend = [](const child& c) {
      return c.kind == child_kind::model_backend && c.alive;
    };
    if (!leases_due_ || std::any_of(children_.begin(), children_.end(), is_living_backend)) return;
    leases_due_ = false;
    restart(of(child_kind::gpu_lease));
    for (auto& c : children_) {
      if (c.kind == child_kind::model_backend) restart(c);
    }
    publish();
  }

  void restart(child& c) {
    options_.recorder->actor_restarted();
    start(c);
    spdlog::warn("{} was started again", label(c));
  }

  void publish() { options_.publish(std::make_shared<const control_handles>(handles_)); }

  void fatal() {
    if (auto call = std::exchange(options_.on_fatal, nullptr)) call();
  }

  child& of(child_kind kind, model_index model = no_model) {
    return *std::find_if(children_.begin(), children_.end(),
                         [=](const child& c) { return c.kind == kind && c.model == model; });
  }

  std::string label(const child& c) const {
    std::string text = text_of(c.kind);
    if (c.model != no_model) text += " " + options_.settings->models[c.model].name;
    return text;
  }

  supervisor_options options_;
  std::vector<child> children_;  // in the order of their start
  control_handles handles_;
  backend_id last_backend_ = 0;
  std::map<shard_id, shard_inbox_ptr> inboxes_;
  subscribe_keys subscription_;
  bool leases_due_ = false;  // the pool's delay is over, but backends still live
  bool stopping_ = false;
};

}  // namespace

supervisor_actor spawn_supervisor(caf::actor_system& system, const supervisor_options& options) {
  return system.spawn<supervisor>(options);
}

}  // namespace signalbox
