#include "actors/status_board.hpp"

#include <algorithm>
#include <array>

namespace signalbox {
namespace {

using scheduling::lifecycle_state;

// The best state comes first; see model_status.
constexpr std::array by_merit{lifecycle_state::ready,    lifecycle_state::draining,
                              lifecycle_state::starting, lifecycle_state::awaiting_lease,
                              lifecycle_state::stopping, lifecycle_state::failed,
                              lifecycle_state::stopped};

bool is_better(lifecycle_state one, lifecycle_state other) {
  const auto place = [](lifecycle_state s) {
    return std::find(by_merit.begin(), by_merit.end(), s);
  };
  return place(one) < place(other);
}

std::string text_of(const std::string& id) {
  return id;
}
std::string text_of(std::uint64_t id) {
  return std::to_string(id);
}

template <class Map>
void add_changes(const Map& all, std::uint64_t seen, status_kind kind,
                 std::vector<status_change>& out) {
  for (const auto& [id, status] : all) {
    if (status.number > seen) out.push_back({status.number, kind, text_of(id), false});
  }
}

}  // namespace

std::string_view to_string(status_kind value) {
  constexpr std::array<std::string_view, 4> names{"model", "backend", "lease", "gpu"};
  return names[static_cast<std::size_t>(value)];
}

lifecycle_state status_snapshot::model_state(std::string_view name) const {
  const auto found = models.find(name);
  return found == models.end() ? lifecycle_state::stopped : found->second.state;
}

std::optional<std::vector<status_change>> status_snapshot::changes_since(std::uint64_t seen) const {
  if (seen < forgotten || seen > number) return std::nullopt;
  std::vector<status_change> out;
  add_changes(models, seen, status_kind::model, out);
  add_changes(backends, seen, status_kind::backend, out);
  add_changes(leases, seen, status_kind::lease, out);
  add_changes(gpus, seen, status_kind::gpu, out);
  std::copy_if(gone.begin(), gone.end(), std::back_inserter(out),
               [seen](const status_change& c) { return c.number > seen; });
  std::sort(out.begin(), out.end(),
            [](const auto& one, const auto& other) { return one.number < other.number; });
  return out;
}

void status_board::queue_changed(const queue_status& status) {
  const std::lock_guard lock(mutex_);
  auto model = status_of(status.model);
  model.waiting = status.waiting;
  model.in_use = status.in_use;
  model.units = status.units;
  put(now_.models, model.name, model);
}

void status_board::backend_changed(backend_status status, wall_time at) {
  const std::lock_guard lock(mutex_);
  const auto id = status.backend;
  const auto model = status.model;
  const auto before = now_.backends.find(id);
  const bool is_still = before != now_.backends.end() && before->second.state == status.state;
  status.since = is_still ? before->second.since : at;
  put(now_.backends, id, std::move(status));
  judge_model(model);
}

void status_board::backend_gone(backend_id backend) {
  const std::lock_guard lock(mutex_);
  const auto found = now_.backends.find(backend);
  if (found == now_.backends.end()) return;
  const auto model = found->second.model;
  now_.backends.erase(found);
  note_gone(status_kind::backend, text_of(backend));
  judge_model(model);
}

void status_board::model_gone(const std::string& model) {
  const std::lock_guard lock(mutex_);
  if (now_.models.erase(model) > 0) note_gone(status_kind::model, model);
}

void status_board::leases_changed(const std::vector<lease_status>& all, wall_time at) {
  const std::lock_guard lock(mutex_);
  std::map<fencing_token, lease_status> given;
  for (const auto& lease : all) given.emplace(lease.token, lease);
  keep_only(now_.leases, given, status_kind::lease);
  for (auto& [token, lease] : given) {
    const auto before = now_.leases.find(token);
    lease.granted_at = before == now_.leases.end() ? at : before->second.granted_at;
    put(now_.leases, token, std::move(lease));
  }
}

void status_board::gpus_changed(const std::vector<gpu_status>& all) {
  const std::lock_guard lock(mutex_);
  std::map<std::uint32_t, gpu_status> given;
  for (const auto& gpu : all) given.emplace(gpu.gpu, gpu);
  keep_only(now_.gpus, given, status_kind::gpu);
  for (const auto& [index, gpu] : given) put(now_.gpus, index, gpu);
}

status_snapshot_ptr status_board::snapshot() const {
  const std::lock_guard lock(mutex_);
  if (!published_) published_ = std::make_shared<const status_snapshot>(now_);
  return published_;
}

template <class Map>
void status_board::put(Map& all, const typename Map::key_type& key,
                       typename Map::mapped_type status) {
  const auto before = all.find(key);
  if (before != all.end()) {
    status.number = before->second.number;
    if (status == before->second) return;
  }
  status.number = next_number();
  all.insert_or_assign(key, std::move(status));
}

template <class Map>
void status_board::keep_only(Map& all, const Map& kept, status_kind kind) {
  for (auto at = all.begin(); at != all.end();) {
    if (kept.contains(at->first)) {
      ++at;
      continue;
    }
    note_gone(kind, text_of(at->first));
    at = all.erase(at);
  }
}

void status_board::note_gone(status_kind kind, std::string id) {
  now_.gone.push_back({next_number(), kind, std::move(id), true});
  if (now_.gone.size() <= status_snapshot::most_gone) return;
  now_.forgotten = now_.gone.front().number;
  now_.gone.pop_front();
}

std::uint64_t status_board::next_number() {
  published_.reset();
  return ++now_.number;
}

model_status status_board::status_of(const std::string& model) const {
  const auto found = now_.models.find(model);
  if (found != now_.models.end()) return found->second;
  model_status status;
  status.name = model;
  return status;
}

void status_board::judge_model(const std::string& model) {
  auto status = status_of(model);
  status.state = lifecycle_state::stopped;
  for (const auto& [id, backend] : now_.backends) {
    if (backend.model == model && is_better(backend.state, status.state)) {
      status.state = backend.state;
    }
  }
  put(now_.models, model, status);
}

}  // namespace signalbox
