// A model_queue between a backend, a lease pool and a shard that only keep what they are told.
#pragma once

#include <algorithm>

#include "actors/model_queue_actor.hpp"
#include "tests/actors/support.hpp"

namespace signalbox::test {

struct queue_fixture {
  queue_fixture() {
    caf::anon_send(queue, backend_added{1, backend});
    caf::anon_send(queue, leases);
    caf::anon_send(queue, holder_known{1, 5});
    caf::anon_send(queue, shard_attached{0, inbox, {}});
    system.run();
    demands.clear();
  }

  ~queue_fixture() {
    caf::anon_send_exit(queue, caf::exit_reason::kill);
    system.run();
  }

  void send(shard_batch batch) {
    caf::anon_send(queue, std::move(batch));
    system.run();
  }

  void submit(std::vector<ticket_id> ids, duration patience = 1h) {
    shard_batch batch;
    for (auto id : ids) {
      scheduling::ticket t;
      t.id = id;
      t.deadline = system.now() + patience;
      batch.tickets.push_back(t);
    }
    send(batch);
  }

  void give_back(std::uint32_t units, std::uint32_t in_use) {
    shard_batch batch;
    batch.backends = {{.backend = 1, .units_returned = units, .ended = units, .in_use = {in_use}}};
    batch.settled.completed = units;
    send(batch);
  }

  void open(std::uint64_t run = 1) {
    auto endpoint = std::make_shared<backend_endpoint>();
    endpoint->backend = 1;
    endpoint->incarnation = run;
    caf::anon_send(queue, open_queue{endpoint, settings.models[0].max_concurrent});
    system.run();
  }

  void close(std::uint64_t closing, bool only_if_idle = false) {
    caf::anon_send(queue, close_queue{1, closing, only_if_idle});
    system.run();
  }

  // As the supervisor does it, for so many shards.
  void restart_queue(std::size_t shards) {
    caf::anon_send_exit(queue, caf::exit_reason::kill);
    queue = spawn_model_queue(*system, {red, &settings, &board, shards});
    caf::anon_send(queue, backend_added{1, backend});
    system.run();
  }

  std::size_t heard(const std::string& line) {
    return static_cast<std::size_t>(std::count(log.begin(), log.end(), line));
  }

  queue_stats stats() {
    queue_stats result{};
    caf::scoped_actor self{*system};
    auto request = self->request(queue, 1s, get_queue_stats{});
    system.run();
    request.receive([&result](const queue_stats& s) { result = s; },
                    [](const caf::error& e) { BOOST_ERROR(caf::to_string(e)); });
    return result;
  }

  simulated_system system;
  config::settings settings = two_models();
  metrics recorder{settings.gpus.size(), 1};
  status_board board;
  journal log;
  std::vector<scheduling::holder_demand> demands;
  model_backend_actor backend = fake_backend(*system, log);
  gpu_lease_actor leases = fake_leases(*system, log, demands);
  std::shared_ptr<recording_inbox> inbox = std::make_shared<recording_inbox>();
  served_model_ptr red = served(settings, 0, recorder);
  model_queue_actor queue = spawn_model_queue(*system, {red, &settings, &board});
};

}  // namespace signalbox::test
