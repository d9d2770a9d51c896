// An actor system on simulated time, and stand-ins for what the shells talk to. Each stand-in
// writes what it got into a journal.
#pragma once

#include <fmt/format.h>
#include <boost/test/unit_test.hpp>
#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "actors/actors.hpp"
#include "actors/metrics.hpp"
#include "actors/model_table.hpp"
#include "config/settings.hpp"
#include "runtimes/driver.hpp"

namespace signalbox::test {

using namespace std::chrono_literals;
using journal = std::vector<std::string>;

struct simulated_config : caf::actor_system_config {
  simulated_config() { set("scheduler.policy", caf::atom("testing")); }
};

class simulated_system {
 public:
  simulated_system()
      : system_(config_),
        scheduler_(dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler())) {
    scheduler_.advance_time(1h);  // so that "never happened" and "just now" differ
  }

  caf::actor_system& operator*() { return system_; }
  time_point now() { return system_.clock().now(); }

  // Handles messages until there are none; time stands still.
  void run() {
    int left = 100000;
    while (scheduler_.try_run_once()) BOOST_REQUIRE_MESSAGE(--left > 0, "the actors never rest");
  }

  // In steps, so that what is armed on the way is sent on the way.
  void advance(duration total, duration step = 10ms) {
    for (duration passed{}; passed < total; passed += step) {
      scheduler_.advance_time(step);
      run();
    }
  }

 private:
  simulated_config config_;
  caf::actor_system system_;
  caf::scheduler::test_coordinator& scheduler_;
};

// A shard's inbox: keeps what was posted.
class recording_inbox : public shard_inbox {
 public:
  void post(std::vector<shard_event> events) override {
    const std::lock_guard lock(mutex_);
    ++posts_;
    for (auto& e : events) events_.push_back(std::move(e));
  }

  std::vector<shard_event> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(events_, {});
  }

  std::size_t posts() const { return posts_; }

 private:
  std::mutex mutex_;
  std::vector<shard_event> events_;
  std::size_t posts_ = 0;
};

template <class Event>
std::vector<Event> only(const std::vector<shard_event>& events) {
  std::vector<Event> found;
  for (const auto& e : events) {
    if (const auto* match = std::get_if<Event>(&e)) found.push_back(*match);
  }
  return found;
}

// A driver whose runtimes do what the test says.
class scripted_driver : public runtimes::runtime_driver {
 public:
  struct run {
    std::string model;
    runtimes::run_request request;
    runtimes::event_callback tell;
    std::vector<duration> stops{};
    int checks = 0;
    bool destroyed = false;
  };

  std::unique_ptr<runtimes::runtime_handle> start(const config::model_options& model,
                                                  const runtimes::run_request& request,
                                                  runtimes::event_callback on_event) override {
    runs.push_back(std::make_shared<run>(run{model.name, request, std::move(on_event)}));
    if (at_start) at_start();
    return std::make_unique<handle>(runs.back());
  }

  std::vector<std::shared_ptr<run>> runs;
  std::function<void()> at_start;  // called within each start()

 private:
  class handle : public runtimes::runtime_handle {
   public:
    explicit handle(std::shared_ptr<run> r) : run_(std::move(r)) {}
    ~handle() override { run_->destroyed = true; }
    void stop(duration grace) override { run_->stops.push_back(grace); }
    void check() override { ++run_->checks; }

   private:
    std::shared_ptr<run> run_;
  };
};

inline void tell_ready(const scripted_driver::run& r) {
  r.tell(runtime_spawned{r.request.incarnation, 4711});
  r.tell(runtime_ready{r.request.incarnation, "gpu-box.lan", "10.0.0.7", 18000});
}

inline void tell_gone(const scripted_driver::run& r, scheduling::exit_reason reason,
                      std::string detail = {}, std::vector<std::string> lines = {}) {
  r.tell(runtime_exited{r.request.incarnation, reason, std::move(detail), std::move(lines)});
  r.tell(runtime_released{r.request.incarnation});
}

// Two models that do not fit together on the one GPU.
inline config::settings two_models() {
  config::settings s;
  s.gpus = {{24 * config::gib}};
  for (const auto* name : {"red", "blue"}) {
    config::model_options m;
    m.name = name;
    m.command = {"unused"};
    m.gpu_memory = 16 * config::gib;
    m.max_concurrent = 2;
    m.max_waiting = 4;
    m.expected_load_s = 7;
    s.models.push_back(m);
  }
  return s;
}

inline served_model_ptr served(const config::settings& settings, model_index index,
                               metrics& recorder) {
  const auto& model = settings.models.at(index);
  return std::make_shared<const served_model>(
      served_model{index, model, 1, recorder.of_model(model.name)});
}

inline model_backend_actor fake_backend(caf::actor_system& system, journal& log) {
  return system.spawn([&log]() -> model_backend_actor::behavior_type {
    return {
        [](const holder_registered&) {},
        [](const lease_granted&) {},
        [](const lease_refused&) {},
        [](const lease_asked_back&) {},
        [](const queue_control_actor&) {},
        [](const crash_log_actor&) {},
        [&log](const ensure_ready&) { log.push_back("ensure_ready"); },
        [&log](const queue_activity& m) {
          log.push_back(m.waiting ? "activity waiting" : "activity");
        },
        [&log](const keep_loaded& m) {
          log.push_back(fmt::format("keep loaded for {:g} s", m.idle / 1.0s));
        },
        [&log](const runtime_signs& m) { log.push_back(fmt::format("signs of run {}", m.run)); },
        [&log](const queue_drained& m) { log.push_back(fmt::format("drained {}", m.closing)); },
        [&log](const queue_not_idle& m) { log.push_back(fmt::format("not_idle {}", m.closing)); },
        [](const runtime_event&) {},
        [](const model_changed&) {},
        [](const order_start&) {
          return order_report{order_end::done, {}};
        },
        [](const order_stop&) {
          return order_report{order_end::done, {}};
        },
        [](const stop_when_idle&) {},
        [](const stop_all&) {},
        [](tick) {},
    };
  });
}

inline queue_control_actor fake_queue(caf::actor_system& system, journal& log) {
  return system.spawn([&log](queue_control_actor::pointer self) {
    return queue_control_actor::behavior_type{
        [](const backend_added&) {},
        [&log](const open_queue& m) {
          log.push_back(fmt::format("open {} at {}:{} {} run {}", m.endpoint->host,
                                    m.endpoint->address, m.endpoint->port,
                                    m.endpoint->upstream_model, m.endpoint->incarnation));
        },
        [&log](const close_queue& m) {
          log.push_back(fmt::format("close{} {}", m.only_if_idle ? " if idle" : "", m.closing));
        },
        [&log](const refuse_waiting& m) {
          log.push_back(fmt::format("refuse {}{} ({})", to_string(m.why),
                                    m.until_ready ? " until ready" : "", m.detail));
        },
        [self, &log](const load_estimated& m) {
          const auto rest = m.ready_at - self->clock().now();
          log.push_back(m.ready_at == never ? fmt::format("load of {:g} s", m.expected_load / 1.0s)
                                            : fmt::format("load of {:g} s, {:g} s left",
                                                          m.expected_load / 1.0s, rest / 1.0s));
        },
        [&log](const units_changed& m) { log.push_back(fmt::format("units {}", m.units)); },
        [&log](const holder_known& m) { log.push_back(fmt::format("holder {}", m.holder)); },
        [](const preempt_class&) {},
    };
  });
}

// `demands`: what was reported, in order.
inline gpu_lease_actor fake_leases(caf::actor_system& system, journal& log,
                                   std::vector<scheduling::holder_demand>& demands) {
  return system.spawn([&log, &demands]() -> gpu_lease_actor::behavior_type {
    return {
        [&log](const register_holder& m, const lease_holder_actor&) {
          log.push_back(fmt::format("register {} {}", to_string(m.kind), m.name));
        },
        [&log](const acquire_lease& m) {
          log.push_back(fmt::format("holder {} acquires {} GiB", m.request.holder,
                                    m.request.need.memory / config::gib));
        },
        [&log](const withdraw_acquire&) { log.push_back("withdraw"); },
        [](const adopt_lease&) {},
        [](const hold_grants&) {},
        [](const resume_grants&) {},
        [&log](const release_lease& m) { log.push_back(fmt::format("release {}", m.token)); },
        [&demands](const demand_reported& m) { demands.push_back(m.demand); },
        [](tick) {},
    };
  });
}

inline crash_log_actor fake_crash_log(caf::actor_system& system,
                                      std::vector<crash_record>& records) {
  return system.spawn([&records]() -> crash_log_actor::behavior_type {
    return {
        [&records](const crash_record& r) { records.push_back(r); },
        [](const list_crashes&) { return crash_list{}; },
        [](tick) {},
    };
  });
}

}  // namespace signalbox::test
