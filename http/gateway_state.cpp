#include "http/gateway_state.hpp"

#include <sodium.h>

#include <cstdio>

namespace signalbox::http {

gateway_state::gateway_state(const config::settings& settings, key_table_ptr keys,
                             control_plane& control, metrics& m)
    : settings_(settings), control_(control), metrics_(m), keys_(std::move(keys)) {
  for (model_index i = 0; i < settings.models.size(); ++i) {
    models_.emplace(settings.models[i].name, i);
    for (const auto& alias : settings.models[i].aliases) models_.emplace(alias, i);
  }
  randombytes_buf(&process_tag_, sizeof process_tag_);
}

std::optional<model_index> gateway_state::find_model(std::string_view name) const {
  const auto found = models_.find(name);
  if (found == models_.end()) return std::nullopt;
  return found->second;
}

std::string gateway_state::make_request_id() {
  char text[40];
  const auto n = std::snprintf(text, sizeof text, "req-%016llx-%llx",
                               static_cast<unsigned long long>(process_tag_),
                               static_cast<unsigned long long>(next_request_.fetch_add(1)));
  return {text, static_cast<std::size_t>(n)};
}

}  // namespace signalbox::http
