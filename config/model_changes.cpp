#include "config/model_changes.hpp"

#include <algorithm>

#include "config/schema.hpp"

namespace signalbox::config {

model_change compare(const model_options& now, const model_options& next) {
  if (now == next) return model_change::nothing;
  auto same_rules = next;
  same_rules.aliases = now.aliases;
  same_rules.max_concurrent = now.max_concurrent;
  same_rules.max_waiting = now.max_waiting;
  same_rules.connection_idle_s = now.connection_idle_s;
  same_rules.queue_timeout_s = now.queue_timeout_s;
  same_rules.request_timeout_s = now.request_timeout_s;
  same_rules.first_byte_timeout_s = now.first_byte_timeout_s;
  same_rules.stream_idle_timeout_s = now.stream_idle_timeout_s;
  same_rules.idle_unload_s = now.idle_unload_s;
  same_rules.expected_load_s = now.expected_load_s;
  same_rules.start_timeout_s = now.start_timeout_s;
  same_rules.drain_timeout_s = now.drain_timeout_s;
  same_rules.stop_grace_s = now.stop_grace_s;
  same_rules.upstream_paths = now.upstream_paths;
  same_rules.usage_in_streams = now.usage_in_streams;
  return now == same_rules ? model_change::rules : model_change::runtime;
}

std::vector<std::string> changed_options(const settings& now, const settings& next) {
  std::vector<std::string> changed;
  for (const auto& o : options()) {
    const auto* list = list_of(o);
    if (list != nullptr && list->path == "models[]") continue;
    const auto path = list == nullptr ? o.path : list->path;
    if (!changed.empty() && changed.back() == path) continue;
    const auto count = list == nullptr ? 1 : list->size(now);
    bool is_same = list == nullptr || list->size(next) == count;
    for (std::size_t i = 0; is_same && i < count; ++i) is_same = o.get(now, i) == o.get(next, i);
    if (!is_same) changed.push_back(path);
  }
  if (now.training.is_configured != next.training.is_configured) changed.push_back("training");
  return changed;
}

}  // namespace signalbox::config
