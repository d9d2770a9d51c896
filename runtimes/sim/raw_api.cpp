#include "runtimes/sim/raw_api.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtimes/sim/api.hpp"

namespace signalbox::sim {
namespace {

using json = nlohmann::ordered_json;

}  // namespace

std::string props_body(const sim_options& options) {
  return dump({{"model_alias", options.model},
               {"total_slots", options.slots},
               {"default_generation_settings", json::object()},
               {"chat_template", ""}});
}

std::string slots_body(const sim_options& options) {
  json slots = json::array();
  for (std::uint32_t i = 0; i < options.slots; ++i) {
    slots.push_back({{"id", i}, {"is_processing", false}});
  }
  return dump(slots);
}

std::string slot_action_body(std::string_view path, std::string_view query) {
  return dump({{"id_slot", path.substr(path.rfind('/') + 1)}, {"query", query}});
}

std::string template_body(std::string_view body) {
  const auto parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("messages") || !parsed["messages"].is_array()) {
    return {};
  }
  std::string prompt;
  for (const auto& message : parsed["messages"]) {
    if (!message.is_object()) continue;
    for (const auto* const key : {"role", "content"}) {
      if (message.contains(key) && message[key].is_string()) {
        prompt += message[key].get<std::string>() + " ";
      }
    }
  }
  return dump({{"prompt", prompt}});
}

std::string echo_body(const restinio::request_handle_t& request) {
  const auto& header = request->header();
  json fields = json::object();
  header.for_each_field([&](const auto& field) {
    auto name = field.name();
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    fields[name] = field.value();
  });
  return dump({{"method", header.method().c_str()},
               {"target", header.request_target()},
               {"headers", fields},
               {"body", request->body()}});
}

}  // namespace signalbox::sim
