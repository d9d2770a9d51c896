// What is so now: models, backends, leases, GPUs. The actors that own these write it, a few times a
// second; /health and /v1/models read it, and whoever tells of changes.
// Everything is known by its id or name, never by its place in the configuration.
//
// Every change gets the next number, from 1, and what changed keeps the number of its last change:
// a reader that has seen all up to a number is told what it lacks. To write what is so already is
// no change. It keeps states, not a history: of two changes of one thing the later one is told.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "records/wall_time.hpp"
#include "scheduling/gpu_set.hpp"
#include "scheduling/model_lifecycle.hpp"
#include "scheduling/types.hpp"

namespace signalbox {

struct queue_status {
  std::string model;
  std::uint32_t waiting = 0;  // tickets
  std::uint32_t in_use = 0;   // units
  std::uint32_t units = 0;    // that there are; 0 while no backend is ready
};

// In all that follow the board fills in `number`, that of the last change.

struct model_status {
  std::string name;
  // The best one of its backends, by what they do for who asks now: ready serves; draining serves
  // what it has; starting, awaiting_lease will serve; stopping, failed, stopped do not. So a
  // failure shows next to a backend that only rests. Without any backend: stopped.
  scheduling::lifecycle_state state = scheduling::lifecycle_state::stopped;
  std::uint32_t waiting = 0, in_use = 0, units = 0;  // as in queue_status
  std::uint64_t number = 0;

  bool operator==(const model_status&) const = default;
};

struct backend_status {
  backend_id backend = 0;
  std::string model;
  scheduling::lifecycle_state state = scheduling::lifecycle_state::stopped;
  wall_time since{};              // it is in this state; filled in by the board
  std::uint64_t incarnation = 0;  // of its current or last run, as in backend_endpoint; 0: none
  fencing_token token = 0;        // 0: it has no lease
  scheduling::gpu_set gpus;       // under that lease
  std::uint32_t failures = 0;     // in a row
  std::optional<scheduling::exit_reason> last_failure;  // of all that were; none: it never failed
  std::uint64_t number = 0;

  bool operator==(const backend_status&) const = default;
};

struct lease_status {
  fencing_token token = 0;
  std::string holder;  // as people know it: a model's name, for one
  std::string kind;    // of holder: "backend"
  scheduling::gpu_set gpus;
  work_class work = work_class::realtime;
  wall_time granted_at{};  // when the board first heard of it; filled in by the board
  bool yield_asked = false;
  std::uint64_t number = 0;

  bool operator==(const lease_status&) const = default;
};

struct gpu_status {
  std::uint32_t gpu = 0;
  std::uint64_t bytes = 0;  // that may be leased
  std::uint64_t used = 0;   // bytes that are
  std::uint64_t number = 0;

  bool operator==(const gpu_status&) const = default;
};

enum class status_kind : std::uint8_t { model, backend, lease, gpu };
std::string_view to_string(status_kind value);

struct status_change {
  std::uint64_t number = 0;
  status_kind kind = status_kind::model;
  std::string id;  // the model's name, or the backend's id, the token, the GPU's index in decimal
  bool is_gone = false;

  bool operator==(const status_change&) const = default;
};

struct status_snapshot {
  static constexpr std::size_t most_gone = 256;

  std::uint64_t number = 0;  // of the last change
  std::map<std::string, model_status, std::less<>> models;
  std::map<backend_id, backend_status> backends;
  std::map<fencing_token, lease_status> leases;
  std::map<std::uint32_t, gpu_status> gpus;
  std::deque<status_change> gone;  // the last `most_gone` things that are no more, oldest first
  std::uint64_t forgotten = 0;     // number of the last one that is no longer in `gone`

  // Of a model that nobody has told of: stopped.
  scheduling::lifecycle_state model_state(std::string_view name) const;

  // What changed after that number, by number; the states are here. None: it is not known from here
  // (too old, or of another run), and all has to be told.
  std::optional<std::vector<status_change>> changes_since(std::uint64_t seen) const;
};
using status_snapshot_ptr = std::shared_ptr<const status_snapshot>;

// Thread-safe.
class status_board {
 public:
  void queue_changed(const queue_status& status);
  void backend_changed(backend_status status, wall_time at);
  void backend_gone(backend_id backend);
  // It is served no more. Its last backend is gone before.
  void model_gone(const std::string& model);
  // All that there are; those that are not among them are gone.
  void leases_changed(const std::vector<lease_status>& all, wall_time at);
  void gpus_changed(const std::vector<gpu_status>& all);

  // The same object until something changes. The first reader after a change makes a copy.
  status_snapshot_ptr snapshot() const;

 private:
  // With the mutex held.
  template <class Map>
  void put(Map& all, const typename Map::key_type& key, typename Map::mapped_type status);
  template <class Map>
  void keep_only(Map& all, const Map& kept, status_kind kind);
  void note_gone(status_kind kind, std::string id);
  std::uint64_t next_number();
  model_status status_of(const std::string& model) const;
  void judge_model(const std::string& model);

  mutable std::mutex mutex_;
  status_snapshot now_;
  mutable status_snapshot_ptr published_;  // null: something changed since
};

}  // namespace signalbox
