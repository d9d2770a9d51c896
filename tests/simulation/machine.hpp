// The machine of a simulated gateway: the memory of its GPUs, and the runtimes, which load, fail,
// hang, crash and take their time to stop. In the place of a runtime_driver (runtimes/driver.hpp):
// what it tells of a runtime is spawned, ready (at most once), exited, released.
#pragma once

#include <map>

#include "tests/simulation/messages.hpp"
#include "tests/simulation/setup.hpp"

namespace signalbox::simulation {

class gateway;

class machine {
 public:
  explicit machine(gateway& g);

  // A run begins for that backend, which hears of it.
  void start(const backend_ref& backend, backend_id id, model_index m,
             const core::start_runtime& s);
  void stop(backend_id id, duration grace);
  void check(backend_id id);  // its health
  // The backend's actor ended: its run is killed. `then` is called when it is gone.
  void kill(backend_id id, callback then);
  void crash_one();  // any

  // Requests that are in flight at a run; false: it cannot be reached.
  bool begin_request(backend_id id, std::uint64_t incarnation);
  void end_request(backend_id id, std::uint64_t incarnation);
  bool is_hung(backend_id id, std::uint64_t incarnation);  // it answers nothing
  // At the run that is, if any.
  std::uint32_t in_flight(backend_id id) const;

  // Memory that somebody really uses: a runtime, or another holder of a lease.
  void occupy(const core::gpu_set& gpus, const core::gpu_need& need);
  void vacate(const core::gpu_set& gpus, const core::gpu_need& need);
  // Checks that a grant is what was asked for.
  void check_granted(const core::gpu_set& gpus, const core::gpu_need& need) const;
  bool is_empty() const { return runs_.empty() && occupants_ == 0; }

 private:
  struct run {
    backend_ref backend;
    model_index model = 0;
    std::uint64_t incarnation = 0;
    core::gpu_set gpus;
    actor_id driver = nobody;  // tells of it
    bool is_ready = false, is_hung = false, is_stopping = false, has_exited = false;
    std::uint32_t in_flight = 0;
    callback when_gone;
  };

  run* find(backend_id id, std::uint64_t incarnation);
  void load(backend_id id, const run& r);
  void loaded(backend_id id, std::uint64_t incarnation);
  void exits(backend_id id, std::uint64_t incarnation, core::exit_reason why);
  void gone(backend_id id);
  void tell(const run& r, runtime_event event);
  void tell_stale(const run& r);

  gateway& g_;
  std::map<backend_id, run> runs_;
  std::vector<std::uint64_t> used_;  // bytes, of each GPU
  std::uint32_t occupants_ = 0, exclusive_ = 0;
};

}  // namespace signalbox::simulation
