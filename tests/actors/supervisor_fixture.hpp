// A supervisor with all its actors, on simulated time, with a scripted driver and no database. The
// stores run on threads of their own, which these tests do not use.
#pragma once

#include <map>

#include "actors/supervisor.hpp"
#include "persistence/database.hpp"
#include "tests/actors/support.hpp"
#include "tests/scratch_folder.hpp"

namespace signalbox::test {

using scheduling::lifecycle_state;

struct supervisor_fixture {
  supervisor_fixture() {
    supervisor_options options;
    options.settings = &settings;
    options.driver = &driver;
    options.db = &db;
    options.recorder = &recorder;
    options.board = &board;
    settings.data_dir = folder.path();
    options.next_epoch = [this]() -> std::uint32_t {
      ++epochs_asked;
      if (is_epoch_missing) throw std::runtime_error("no epoch");
      return epochs_asked;
    };
    options.publish = [this](control_handles_ptr published) { handles = std::move(published); };
    options.on_fatal = [this] { ++fatal; };
    supervisor = spawn_supervisor(*system, options);
    system.run();
    caf::anon_send(supervisor, shard_attached{0, inbox, {}});
    system.run();
  }

  ~supervisor_fixture() {
    caf::anon_send(supervisor, stop_all{});
    system.run();
    kill(supervisor);
    const auto all = handles;
    for (const auto& [model, queue] : all->queues) kill(queue);
    for (const auto& [id, backend] : all->backends) kill(backend);
    kill(handles->outside);
    kill(handles->leases);
    kill(handles->usage);
    kill(handles->crashes);
    kill(handles->keys);
  }

  template <class Handle>
  void kill(const Handle& handle) {
    caf::anon_send_exit(handle, caf::exit_reason::kill);
    system.run();
  }

  void submit(model_index model, ticket_id id) {
    shard_batch batch;
    scheduling::ticket t;
    t.id = id;
    t.deadline = system.now() + 1h;
    batch.tickets = {t};
    caf::anon_send(handles->queue_of(model), batch);
    system.run();
  }

  void give_back(model_index model, std::uint32_t units) {
    shard_batch batch;
    batch.backends = {{.backend = backends[model], .units_returned = units, .ended = units}};
    caf::anon_send(handles->queue_of(model), batch);
    system.run();
  }

  // Makes the model ready, with one request in flight and one credit at the shard.
  void load(model_index model) {
    submit(model, 100u + model);
    BOOST_REQUIRE(!driver.runs.empty());
    tell_ready(*driver.runs.back());
    system.run();
    BOOST_REQUIRE((state(model) == lifecycle_state::ready));
    const auto permits = only<permit_granted>(inbox->take());
    BOOST_REQUIRE_EQUAL(permits.size(), 1u);
    backends[model] = permits[0].endpoint->backend;
  }

  lifecycle_state state(model_index model) const {
    return board.snapshot()->model_state(settings.models[model].name);
  }

  scratch_folder folder;
  status_board board;
  persistence::database db{"host=/nonexistent"};  // the stores use it until the system has ended
  simulated_system system;
  config::settings settings = two_models();
  metrics recorder{settings.gpus.size(), 1};
  scripted_driver driver;
  std::map<model_index, backend_id> backends;  // the backend of the last permit
  std::shared_ptr<recording_inbox> inbox = std::make_shared<recording_inbox>();
  control_handles_ptr handles;
  std::uint32_t epochs_asked = 0;
  bool is_epoch_missing = false;
  int fatal = 0;
  supervisor_actor supervisor;
};

}  // namespace signalbox::test
