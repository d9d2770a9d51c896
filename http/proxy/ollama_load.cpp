#include "http/proxy/ollama_load.hpp"

#include <chrono>
#include <nlohmann/json.hpp>

#include "config/settings.hpp"
#include "http/proxy/request_body.hpp"
#include "http/serve/routes.hpp"
#include "text/rfc3339.hpp"

namespace signalbox::http {

bool only_loads(const route_traits& traits, const request_facts& facts,
                const config::model_options& model) {
  // The routes for vectors do not stream; nor is an empty input anything special there.
  const bool asks_for_text = traits.dialect == dialect::ollama && traits.streams_by_default;
  return asks_for_text && !facts.has_prompt && model.driver != config::driver_kind::external;
}

bool unloads(const request_facts& facts) {
  return facts.keep_alive == duration::zero();
}

std::string load_answer(std::string_view route, std::string_view model, std::string_view reason) {
  nlohmann::json answer{{"model", model},
                        {"created_at", rfc3339(std::chrono::system_clock::now())},
                        {"done", true},
                        {"done_reason", reason}};
  if (route == "/api/chat") {
    answer["message"] = {{"role", "assistant"}, {"content", ""}};
  } else {
    answer["response"] = "";
  }
  return answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace signalbox::http
