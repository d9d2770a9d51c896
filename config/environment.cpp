#include "config/environment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "config/address.hpp"
#include "config/schema.hpp"
#include "config/values.hpp"

namespace signalbox::config {
namespace {

// Variables that do more than set one option. They apply in this order, after those of the table.
struct special_variable {
  const char* name;
  void (*apply)(const std::string& text, settings& out, problem_list& problems);
};

void replace_port(const std::string& text, settings& out, problem_list& problems) {
  const char* end = text.data() + text.size();
  std::uint16_t port = 0;
  auto [rest, error] = std::from_chars(text.data(), end, port);
  auto first = out.server.listen.empty() ? std::nullopt : parse_listen(out.server.listen.front());
  if (error != std::errc{} || rest != end) {
    problems.unreadable("server.listen",
                        fmt::format("found {}, allowed a port from 0 to 65535", in_quotes(text)),
                        {0, "LOAD_BALANCER_PORT"});
  } else if (first) {
    first->port = port;
    out.server.listen.front() = to_string(*first);
    problems.located("server.listen[0]", {0, "LOAD_BALANCER_PORT"});
  }  // a malformed address is reported elsewhere
}

void add_key(key_options key, const char* variable, settings& out, problem_list& problems) {
  problems.located(fmt::format("keys[{}]", out.keys.size()), {0, variable});
  out.keys.push_back(std::move(key));
}

key_options make_key(std::string id, std::string token, std::vector<std::string> scopes) {
  key_options key;
  key.id = std::move(id);
  key.token = std::move(token);
  key.scopes = std::move(scopes);
  return key;
}

void add_bootstrap_key(const std::string& text, settings& out, problem_list& problems) {
  add_key(make_key("bootstrap", text, {"admin"}), "SIGNALBOX_BOOTSTRAP_KEY", out, problems);
}

// The two variables of seed 004.
void add_gateway_key(const std::string& text, settings& out, problem_list& problems) {
  add_key(make_key("gateway", text, {"realtime", "batch"}), "GATEWAY_API_KEY", out, problems);
}

void add_gateway_admin_key(const std::string& text, settings& out, problem_list& problems) {
  add_key(make_key("gateway-admin", text, {"admin"}), "GATEWAY_ADMIN_API_KEY", out, problems);
}

// The variable of seed 000, for its monitor, which sends the token as X-Admin-Token.
void add_monitor_token(const std::string& text, settings& out, problem_list& problems) {
  add_key(make_key("llm-admin", text, {"monitor"}), "LLM_ADMIN_TOKEN", out, problems);
}

// The variable of seed 002: a file {"keys": [{"id", "token", "scopes": […]}]}, read at every start.
void add_keys_of_file(const std::string& name, settings& out, problem_list& problems) {
  constexpr const char* variable = "AUTH_KEYS_FILE";
  const auto fail = [&](const std::string& why) {
    problems.unreadable("keys", fmt::format("{} {}", in_quotes(name), why), {0, variable});
  };
  std::ifstream file(name);
  if (!file) return fail("cannot be read");
  const auto document = nlohmann::json::parse(file, nullptr, false);
  if (!document.is_object() || !document.contains("keys") || !document["keys"].is_array()) {
    return fail(R"(does not contain {"keys": [{"id", "token", "scopes"}]})");
  }
  for (std::size_t i = 0; i < document["keys"].size(); ++i) {
    const auto& entry = document["keys"][i];
    try {
      add_key(make_key(entry.at("id"), entry.at("token"), entry.at("scopes")), variable, out,
              problems);
    } catch (const nlohmann::json::exception&) {  // the text of the exception would show the secret
      return fail(fmt::format(
          "has an entry, keys[{}], without the texts id and token and the list scopes", i));
    }
  }
}

constexpr special_variable special_variables[] = {
    {"LOAD_BALANCER_PORT", replace_port},   {"SIGNALBOX_BOOTSTRAP_KEY", add_bootstrap_key},
    {"GATEWAY_API_KEY", add_gateway_key},   {"GATEWAY_ADMIN_API_KEY", add_gateway_admin_key},
    {"LLM_ADMIN_TOKEN", add_monitor_token}, {"AUTH_KEYS_FILE", add_keys_of_file},
};

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    std::size_t comma = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

void set_from_text(const option& o, const std::string& text, settings& out,
                   problem_list& problems) {
  origin at{0, o.variable};
  std::optional<value> v =
      o.kind == value_kind::text_list ? value(split_at_commas(text)) : parse_value(o, text);
  if (!v) {
    problems.unreadable(o.path, fmt::format("found {}, allowed {}", show(o, text), allowed(o)), at);
  } else if (auto bad = out_of_bounds(o, *v)) {
    problems.unreadable(o.path, *bad, at);
  } else {
    o.set(out, 0, *v);
    problems.located(o.path, at);
    if (auto* list = std::get_if<std::vector<std::string>>(&*v)) {
      for (std::size_t i = 0; i < list->size(); ++i) {
        problems.located(fmt::format("{}[{}]", o.path, i), at);
      }
    }
  }
}

// Treats an empty variable as unset: compose files and unit files pass unset ones as empty.
std::optional<std::string> non_empty(const environment& env, const std::string& name) {
  auto text = env(name);
  return text && !text->empty() ? text : std::nullopt;
}

}  // namespace

environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* text = std::getenv(name.c_str());
    return text != nullptr ? std::optional<std::string>(text) : std::nullopt;
  };
}

std::vector<std::string> environment_names() {
  std::vector<std::string> names;
  for (const option& o : options()) {
    if (!o.variable.empty()) names.push_back(o.variable);
  }
  for (const special_variable& v : special_variables) names.emplace_back(v.name);
  return names;
}

void apply_environment(const environment& env, settings& out, problem_list& problems) {
  for (const option& o : options()) {
    if (o.variable.empty()) continue;
    if (auto text = non_empty(env, o.variable)) set_from_text(o, *text, out, problems);
  }
  for (const special_variable& v : special_variables) {
    if (auto text = non_empty(env, v.name)) v.apply(*text, out, problems);
  }
}

void resolve_api_keys(const environment& env, settings& out, problem_list& problems) {
  for (std::size_t i = 0; i < out.models.size(); ++i) {
    model_options& model = out.models[i];
    if (model.api_key_env.empty()) continue;
    if (auto key = non_empty(env, model.api_key_env)) {
      model.api_key = *key;
    } else {
      problems.unreadable(
          fmt::format("models[{}].api_key_env", i),
          fmt::format("model {} needs the environment variable {}, which is not set",
                      in_quotes(model.name), in_quotes(model.api_key_env)));
    }
  }
}

void resolve_tokens(const environment& env, settings& out, problem_list& problems) {
  for (std::size_t i = 0; i < out.keys.size(); ++i) {
    key_options& key = out.keys[i];
    if (key.token_env.empty() || !key.token.empty()) continue;  // check() reports both
    std::string path = fmt::format("keys[{}].token_env", i);
    if (auto token = non_empty(env, key.token_env)) {
      key.token = *token;
      key.token_env.clear();
    } else {
      problems.unreadable(path, fmt::format("key {} needs the environment variable {}, which "
                                            "is not set",
                                            in_quotes(key.id), in_quotes(key.token_env)));
    }
  }
}

}  // namespace signalbox::config
