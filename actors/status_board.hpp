// The present state of models, backends, leases and GPUs. The actors that own these write it, a few
// times a second. /health and /v1/models read it, and so do readers that follow changes. Everything
// is known by its id or name, never by its place in the configuration.
//
// Changes are numbered from 1, and each thing keeps the number of its last change. A reader that
// has seen everything up to a number can ask for what changed since. Writing a state that the board
// has already is no change. The board keeps states, not a history: if a thing changed twice, a
// reader sees the later state.
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

// The load of a model's queue.
struct queue_status {
  std::string model;
  std::uint32_t waiting = 0;  // tickets
  std::uint32_t in_use = 0;   // units
  std::uint32_t units = 0;    // of all ready backends
};

// The board sets `number` of each status that follows, to the number of the last change.

// The state of a model.
struct model_status {
  std::string name;
  // The state of the backend that can serve a new request soonest, in this order: ready; draining,
  // which serves the requests it has; starting and awaiting_lease, which will serve; stopping,
  // failed and stopped, which do not. So a failure shows beside a backend that is only stopped. A
  // model without backends is stopped.
  scheduling::lifecycle_state state = scheduling::lifecycle_state::stopped;
  std::uint32_t waiting = 0, in_use = 0, units = 0;  // as in queue_status
  std::uint64_t number = 0;

  bool operator==(const model_status&) const = default;
};

// The state of a backend.
struct backend_status {
  backend_id backend = 0;
  std::string model;
  scheduling::lifecycle_state state = scheduling::lifecycle_state::stopped;
  wall_time since{};              // start of this state; the board sets it
  std::uint64_t incarnation = 0;  // of its current or last run, as in backend_endpoint; 0: none
  fencing_token token = 0;        // 0: it has no lease
  scheduling::gpu_set gpus;       // memory that it has by that lease
  wall_time started_at{};         // of the runtime that runs; zero: none runs
  std::uint16_t port = 0;         // of that runtime; 0: not known yet
  bool is_healthy = false;        // it is ready, and does not look hung
  std::uint32_t failures = 0;     // in a row
  std::optional<scheduling::exit_reason> last_failure;  // empty: it never failed
  std::string cure;              // what may help against that, for people; empty: nothing is known
  time_point unload_at = never;  // as in model_lifecycle; what is in use changes it twice a second
  std::uint64_t number = 0;

  bool operator==(const backend_status&) const = default;
};

// A lease.
struct lease_status {
  fencing_token token = 0;
  std::string holder;  // its name for people, such as a model's name
  std::string kind;    // the name of its holder_kind
  scheduling::gpu_set gpus;
  work_class work = work_class::realtime;
  wall_time granted_at{};  // when the board first heard of it; the board sets it
  bool asked_back = false;
  std::uint64_t number = 0;

  bool operator==(const lease_status&) const = default;
};

// The memory of a GPU.
struct gpu_status {
  std::uint32_t gpu = 0;
  std::uint64_t bytes = 0;  // bytes that may be leased
  std::uint64_t used = 0;   // bytes that are leased
  std::uint64_t number = 0;

  bool operator==(const gpu_status&) const = default;
};

enum class status_kind : std::uint8_t { model, backend, lease, gpu };
std::string_view to_string(status_kind value);

// A thing that changed, or is gone.
struct status_change {
  std::uint64_t number = 0;
  status_kind kind = status_kind::model;
  std::string id;  // the model's name; or in decimal the backend's id, the token, the GPU's index
  bool is_gone = false;

  bool operator==(const status_change&) const = default;
};

// The state of everything at one time.
struct status_snapshot {
  static constexpr std::size_t most_gone = 256;

  std::uint64_t number = 0;  // of the last change
  std::map<std::string, model_status, std::less<>> models;
  std::map<backend_id, backend_status> backends;
  std::map<fencing_token, lease_status> leases;
  std::map<std::uint32_t, gpu_status> gpus;
  std::deque<status_change> gone;  // the `most_gone` things that went last, oldest first
  std::uint64_t forgotten = 0;     // number of the last one that was dropped from `gone`

  // The state of the model; `stopped` if it is not known.
  scheduling::lifecycle_state model_state(std::string_view name) const;

  // Returns what changed after the number `seen`, in order of number. It returns nothing when that
  // is not known, because `seen` is too old or of another run; the reader then needs all of this.
  std::optional<std::vector<status_change>> changes_since(std::uint64_t seen) const;
};
using status_snapshot_ptr = std::shared_ptr<const status_snapshot>;

// Keeps the present state, and hands out snapshots. Thread-safe.
class status_board {
 public:
  void queue_changed(const queue_status& status);
  void backend_changed(backend_status status, wall_time at);
  void backend_gone(backend_id backend);
  // The model is not served any more. All its backends have ended before.
  void model_gone(const std::string& model);
  // `all` has every lease or GPU; any other that the board knows is gone.
  void leases_changed(const std::vector<lease_status>& all, wall_time at);
  void gpus_changed(const std::vector<gpu_status>& all);

  // Returns the same object until something changes. The first reader after a change makes a copy.
  status_snapshot_ptr snapshot() const;

 private:
  // The mutex must be held for these.
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
  mutable status_snapshot_ptr published_;  // null once something has changed
};

}  // namespace signalbox
