// A backend on simulated time, between stand-ins for its queue, its lease pool and its driver.
#pragma once

#include <algorithm>
#include <utility>

#include "actors/model_backend_actor.hpp"
#include "tests/actors/support.hpp"

namespace signalbox::test {

inline const scheduling::gpu_set one_gpu{{0, 16 * config::gib}};

// One backend of the model "red", which is ready when the test says so.
struct backend_fixture {
  explicit backend_fixture(config::residency residency = config::residency::on_demand) {
    settings.models[0].residency = residency;
    settings.models[0].idle_unload_s = 60;
    settings.models[0].upstream_model = "org/red";
    backend = spawn_model_backend(*system, {served(settings, 0, recorder), 7, &settings, &driver,
                                            &board, queue, leases, crashes});
    system.run();
    send(holder_registered{5});
  }

  ~backend_fixture() {
    caf::anon_send_exit(backend, caf::exit_reason::kill);
    system.run();
  }

  template <class Message>
  void send(Message message) {
    caf::anon_send(backend, std::move(message));
    system.run();
  }

  void become_ready() {
    send(ensure_ready{});
    send(lease_granted{11, one_gpu});
    tell_ready(*driver.runs.back());
    system.run();
  }

  bool heard(const std::string& line) const {
    return std::find(log.begin(), log.end(), line) != log.end();
  }

  // Returns how many lines begin so.
  static std::ptrdiff_t count_of(const std::string& beginning, const journal& lines) {
    return std::count_if(lines.begin(), lines.end(),
                         [&](const std::string& line) { return line.starts_with(beginning); });
  }

  scheduling::lifecycle_state state() const { return board.snapshot()->model_state("red"); }
  backend_status status() const { return board.snapshot()->backends.at(7); }

  simulated_system system;
  config::settings settings = two_models();
  metrics recorder{settings.gpus.size(), 1};
  status_board board;
  scripted_driver driver;
  journal log;
  std::vector<scheduling::holder_demand> demands;
  std::vector<crash_record> records;
  queue_control_actor queue = fake_queue(*system, log);
  gpu_lease_actor leases = fake_leases(*system, log, demands);
  crash_log_actor crashes = fake_crash_log(*system, records);
  model_backend_actor backend;
};

}  // namespace signalbox::test
