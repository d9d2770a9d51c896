#include "actors/supervisor.hpp"

#include <spdlog/spdlog.h>

#include <map>
#include <utility>

#include "actors/crash_log_actor.hpp"
#include "actors/gpu_lease_actor.hpp"
#include "actors/key_registry_actor.hpp"
#include "actors/login_guard_actor.hpp"
#include "actors/model_backend_actor.hpp"
#include "actors/model_queue_actor.hpp"
#include "actors/outside_leases_actor.hpp"
#include "actors/shell.hpp"
#include "actors/supervised_children.hpp"
#include "actors/usage_ledger_actor.hpp"

namespace signalbox {
namespace {

// The consequences of a child's end, and of its restart:
//   model_queue    The shards introduce themselves and send their tickets again, and the backend
//                  tells its state. The runtime and the requests in flight go on.
//   model_backend  Its runtime is killed, the lease pool frees its lease, and the queue closes.
//   gpu_lease      The holders of memory are not known any more, so all backends end with it and
//                  start again.
//   outside_leases The pool ends with it: programs that are not ours have memory, which nobody may
//                  be granted before the next one has read who they are.
//   key_registry   The known keys stay in force, and the new registry tells all keys again.
//   login_guard    Failed logins are forgotten.
//   crash_log, usage_ledger   What they had not written is lost.
// The end of a backend that was told to stop, because its model changed or was removed, is expected
// and is no restart. The next backend starts with the present configuration, or the queue ends too.
class supervisor : public supervisor_actor::base {
 public:
  supervisor(caf::actor_config& cfg, const supervisor_options& options)
      : supervisor_actor::base(cfg),
        options_(options),
        tables_(*options.recorder, options.settings->gpus.size()) {
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
        [this](const change_models& m) { return on_change(m); },
        [this](const stop_all&) { return stopping_ = true; },
        [this](const restart_child& m) { on_restart(m); },
    };
  }

 private:
  using child = supervised_child;

  void start_all() {
    for (auto kind : {child_kind::crash_log, child_kind::usage_ledger, child_kind::key_registry,
                      child_kind::login_guard, child_kind::gpu_lease, child_kind::outside_leases}) {
      start(children_.add(kind));
    }
    handles_.models = std::make_shared<const model_table>();
    serve(options_.settings->models);
  }

  // Serves these models from now on, and starts actors for the new ones.
  table_change serve(const std::vector<config::model_options>& models) {
    auto change = tables_.change(*handles_.models, models);
    handles_.models = change.table;
    for (const auto& model : change.added) {
      start(children_.add(child_kind::model_queue, model));
      for (const auto& [shard, inbox] : inboxes_) {
        send(handles_.queues[model->index], shard_attached{shard, inbox, {}, 0});
      }
    }
    for (const auto& model : change.added) {
      auto& backend = children_.add(child_kind::model_backend, model);
      if (of(child_kind::gpu_lease).alive) start(backend);  // else it starts with the pool
    }
    publish();
    return change;
  }

  caf::result<reload_report> on_change(const change_models& m) {
    if (stopping_) return caf::make_error(caf::sec::runtime_error);
    const auto change = serve(m.models);
    for (const auto& model : change.changed) update(model);
    for (const auto& model : change.restarting) {
      stop_backends(model->index);
      update(model);
    }
    if (m.restart_now) hurry_restarts();
    for (const auto& model : change.removed) retire(model->index);
    reload_report report;
    report.added = names_of(change.added);
    report.removed = names_of(change.removed);
    report.changed = names_of(change.changed);
    report.restarting = names_of(change.restarting);
    for (const auto& c : children_) {
      if (!waits_to_restart(c)) continue;
      const auto& name = handles_.models->find(c.index())->options.name;
      auto& all = report.restarting;
      if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(name);
    }
    return report;
  }

  // Gives a model's children its new options, except a backend that must stop: it keeps its own.
  void update(const served_model_ptr& model) {
    for (auto& c : children_) {
      if (c.index() != model->index) continue;
      c.model = model;
      if (!c.alive || c.is_told_to_stop) continue;
      if (c.kind == child_kind::model_queue) {
        send(handles_.queues[model->index], model_changed{model});
      } else {
        send(handles_.backends[c.backend], model_changed{model});
      }
    }
  }

  void stop_backends(model_index model) {
    for (auto& c : children_) {
      if (c.kind != child_kind::model_backend || c.index() != model || !c.alive) continue;
      c.is_told_to_stop = true;
      send(handles_.backends[c.backend], stop_when_idle{});
    }
  }

  // Backends that wait to be idle before their restart, also those of an earlier change, stop now.
  void hurry_restarts() {
    for (const auto& c : children_) {
      if (waits_to_restart(c)) send(handles_.backends[c.backend], stop_all{});
    }
  }

  // Tells whether the child is a backend that stops to give way to one with its model's new
  // options.
  bool waits_to_restart(const child& c) const {
    return c.alive && c.is_told_to_stop && handles_.models->find(c.index());
  }

  // The removed model serves the requests that it has. New ones do not find it any more.
  void retire(model_index model) {
    stop_backends(model);
    end_if_retired(model);
  }

  // Ends the queue of a removed model, once its last backend has ended.
  void end_if_retired(model_index model) {
    if (handles_.models->find(model) || children_.has_living_backend(model)) return;
    const auto queue = handles_.queues.find(model);
    if (queue == handles_.queues.end()) return;
    const auto name = of(child_kind::model_queue, model).model->options.name;
    children_.remove_model(model);
    send_exit(queue->second, caf::exit_reason::user_shutdown);
    handles_.queues.erase(queue);
    publish();
    // This comes after publish(), because a shard that hears it must not find the queue.
    for (const auto& [shard, inbox] : inboxes_) inbox->post({model_gone{model}});
    const auto heir = handles_.models->find(name);
    if (heir && heir->options.name == name) {
      update(heir);  // both wrote under this name; the one that is left writes again
    } else {
      options_.board->model_gone(name);
    }
    spdlog::info("model {}: removed", name);
  }

  static std::vector<std::string> names_of(const std::vector<served_model_ptr>& models) {
    std::vector<std::string> names;
    for (const auto& model : models) names.push_back(model->options.name);
    return names;
  }

  void start(child& c) {
    switch (c.kind) {
      case child_kind::crash_log:
        return start_crash_log(c);
      case child_kind::usage_ledger:
        return start_usage_ledger(c);
      case child_kind::key_registry:
        return start_key_registry(c);
      case child_kind::login_guard:
        handles_.logins = spawn_login_guard(system(), *options_.settings);
        return watch(c, handles_.logins);
      case child_kind::gpu_lease:
        return start_gpu_lease(c);
      case child_kind::outside_leases:
        return start_outside_leases(c);
      case child_kind::model_queue:
        return start_queue(c);
      case child_kind::model_backend:
        return start_backend(c);
    }
  }

  void start_crash_log(child& c) {
    handles_.crashes = spawn_crash_log(system(), *options_.db, options_.settings->data_dir);
    watch(c, handles_.crashes);
    for (const auto& [id, backend] : handles_.backends) send(backend, handles_.crashes);
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
    send(handles_.leases, hold_grants{});  // until the leases of outside programs are adopted
    if (handles_.outside) send(handles_.outside, handles_.leases);
    for (const auto& [model, queue] : handles_.queues) send(queue, handles_.leases);
  }

  void start_outside_leases(child& c) {
    handles_.outside = spawn_outside_leases(system(), *options_.settings,
                                            persistence::lease_file(options_.settings->data_dir));
    watch(c, handles_.outside);
    send(handles_.outside, handles_.leases);
  }

  void start_queue(child& c) {
    auto& queue = handles_.queues[c.model->index];
    queue = spawn_model_queue(
        system(), {c.model, options_.settings, options_.board, inboxes_.size(), c.life});
    watch(c, queue);
    send(queue, handles_.leases);
    for (const auto& other : children_) {
      if (other.kind != child_kind::model_backend || other.index() != c.index()) continue;
      if (other.alive) send(handles_.backends[other.backend], queue_control_actor{queue});
    }
  }

  void start_backend(child& c) {
    c.backend = ++last_backend_;
    c.is_told_to_stop = false;
    auto& backend = handles_.backends[c.backend];
    handles_.model_of[c.backend] = c.model->index;
    backend = spawn_model_backend(
        system(), {c.model, c.backend, options_.settings, options_.driver, options_.board,
                   handles_.queues[c.model->index], handles_.leases, handles_.crashes});
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
    for (const auto& c : children_) {
      if (c.kind != child_kind::model_queue) continue;
      send(handles_.queues[c.index()], shard_attached{m.shard, m.inbox, m.in_use, c.life});
    }
    return true;
  }

  void on_down(const caf::down_msg& m) {
    auto* const found = children_.find_living(m.source);
    if (found == nullptr) return;
    found->alive = false;
    if (found->kind == child_kind::model_backend) {
      options_.board->backend_gone(found->backend);
      handles_.backends.erase(found->backend);
      handles_.model_of.erase(found->backend);
    }
    if (stopping_) return;
    if (found->kind == child_kind::model_backend) {
      send(handles_.queues[found->model->index], backend_removed{found->backend});
      if (!of(child_kind::gpu_lease).alive) return restart_leases();  // backends end with the pool
      if (found->is_told_to_stop) return replace(*found);
    }
    spdlog::error("{} ended: {}", found->label(), system().render(m.reason));
    const auto now = clock().now();
    const auto decision = found->policy.died(now);
    if (const auto* restart = std::get_if<scheduling::restart_at>(&decision)) {
      scheduled_send(this, restart->when, restart_child{found->kind, found->index()});
    } else {
      spdlog::critical("{} ended too often: giving up", found->label());
      return fatal();
    }
    if (found->kind == child_kind::outside_leases) {
      send_exit(handles_.leases, caf::exit_reason::kill);
    }
    if (found->kind == child_kind::gpu_lease) {
      for (const auto& [id, backend] : handles_.backends) {
        send_exit(backend, caf::exit_reason::kill);
      }
    }
  }

  // Starts the successor of a backend that stopped as told, or ends the queue of a removed model.
  void replace(child& backend) {
    const auto model = backend.model->index;
    if (!handles_.models->find(model)) return end_if_retired(model);
    start(backend);
    publish();
  }

  void on_restart(const restart_child& m) {
    auto* const found = children_.find(m.kind, m.model);
    if (stopping_ || found == nullptr || found->alive) return;
    auto& c = *found;
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
    for (const auto& [shard, inbox] : inboxes_) inbox->post({queue_restarted{m.model, c.life}});
  }

  // Starts the lease pool again when the last backend is gone and its runtime too, so that no
  // memory is in use.
  void restart_leases() {
    if (!leases_due_ || children_.has_living_backend()) return;
    leases_due_ = false;
    restart(of(child_kind::gpu_lease));
    for (auto& c : children_) {
      if (c.kind == child_kind::model_backend && handles_.models->find(c.model->index)) restart(c);
    }
    publish();
    for (const auto& [model, queue] : std::map(handles_.queues)) end_if_retired(model);
  }

  void restart(child& c) {
    options_.recorder->actor_restarted();
    ++c.life;
    start(c);
    spdlog::warn("{} was started again", c.label());
  }

  void publish() { options_.publish(std::make_shared<const control_handles>(handles_)); }

  void fatal() {
    if (auto call = std::exchange(options_.on_fatal, nullptr)) call();
  }

  child& of(child_kind kind, model_index model = no_model) { return *children_.find(kind, model); }

  supervisor_options options_;
  table_maker tables_;
  supervised_children children_;
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
