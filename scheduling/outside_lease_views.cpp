// How outside leases look: to their owners, and in the file.
#include <algorithm>
#include <array>
#include <utility>

#include "scheduling/outside_leases.hpp"

namespace signalbox::scheduling {

std::string_view to_string(outside_state value) {
  constexpr std::array<std::string_view, 4> names{"waiting", "granted", "ending", "ended"};
  return names[static_cast<std::size_t>(value)];
}

std::string_view to_string(lease_end value) {
  constexpr std::array<std::string_view, 6> names{"released", "expired", "unyielded",
                                                  "dropped",  "refused", "lost"};
  return names[static_cast<std::size_t>(value)];
}

outside_state outside_leases::state_of(const lease& l) {
  switch (l.at) {
    case phase::waiting:
    case phase::granting:  // rule told
      return outside_state::waiting;
    case phase::granted:
      return outside_state::granted;
    case phase::ending:
    case phase::returning:
      return outside_state::ending;
    case phase::ended:
      break;
  }
  return outside_state::ended;
}

outside_view outside_leases::view_of(const lease& l) {
  outside_view view;
  view.request = l.request;
  view.state = state_of(l);
  if (view.state == outside_state::waiting) return view;
  view.token = l.token;
  if (l.token != 0) view.gpus = l.gpus;
  view.yield_by = l.yield_by;
  if (l.at == phase::granted) {
    view.expires_at = l.expires_at;
  } else {
    view.end = l.end;
  }
  return view;
}

std::vector<outside_record> outside_leases::records() const {
  std::vector<outside_record> all;
  for (const auto& [id, l] : leases_) {
    if (!has_memory(l) || l.at == phase::returning) continue;
    all.push_back({l.request, l.token, l.gpus, l.at == phase::ending});
  }
  return all;
}

std::optional<outside_view> outside_leases::find(const std::string& id) const {
  const auto found = leases_.find(id);
  return found == leases_.end() ? std::nullopt : std::optional(view_of(found->second));
}

std::vector<outside_view> outside_leases::list(const lease_viewer& who) const {
  std::vector<std::pair<std::uint64_t, outside_view>> seen;
  for (const auto& [id, l] : leases_) {
    if (l.at != phase::ended && may_see(l, who)) seen.emplace_back(l.number, view_of(l));
  }
  std::sort(seen.begin(), seen.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<outside_view> views;
  for (auto& [number, view] : seen) views.push_back(std::move(view));
  return views;
}

gpu_set outside_leases::memory_of(const std::string& id) const {
  const auto found = leases_.find(id);
  return found == leases_.end() || !has_memory(found->second) ? gpu_set{} : found->second.gpus;
}

}  // namespace signalbox::scheduling
