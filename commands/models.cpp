#include "commands/models.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <restinio/utils/percent_encoding.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "commands/gateway_client.hpp"

namespace signalbox::commands {
namespace {

using nlohmann::json;

// The gateway answers within the model's timeouts, which may be long; this is for one that hangs.
constexpr auto order_patience = std::chrono::hours(2);

constexpr std::uint32_t default_lines = 200, max_lines = 10000;

struct model_words {
  std::string model;
  bool now = false, follow = false, is_json = false;
  std::uint32_t lines = default_lines;
};

std::string encoded(const std::string& model) {
  return restinio::utils::escape_percent_encoding(model);
}

std::string path_of(const std::string& model, const std::string& what) {
  return "/admin/models/" + encoded(model) + what;
}

int refused(const gateway_answer& answer) {
  std::cerr << error_text(answer) << std::endl;
  return 1;
}

std::string uptime_text(const json& seconds) {
  if (!seconds.is_number_integer()) return "-";
  const auto s = seconds.get<std::int64_t>();
  constexpr std::int64_t minute = 60, hour = 60 * minute, day = 24 * hour;
  if (s >= day) return fmt::format("{}d {}h", s / day, s % day / hour);
  if (s >= hour) return fmt::format("{}h {}m", s / hour, s % hour / minute);
  return s >= minute ? fmt::format("{}m {}s", s / minute, s % minute) : fmt::format("{}s", s);
}

std::string port_text(const json& port) {
  return port.is_number_integer() ? std::to_string(port.get<int>()) : "-";
}

void print_row(const json& model) {
  std::cout << fmt::format("{:<30} {:<9} {:<15} {:>5} {:>9} {:>9} {:>7}\n", model.value("name", ""),
                           model.value("status", ""), model.value("state", ""),
                           port_text(model["port"]), uptime_text(model["uptime_seconds"]),
                           model.value("processing", 0), model.value("waiting", 0));
  const auto& advice = model["advice"];
  if (model.value("status", "") == "error" && advice.is_string()) {
    std::cout << "  " << advice.get<std::string>() << "\n";
  }
}

int list(const gateway_client& gateway, const model_words& o) {
  const auto answer = gateway.send("GET", "/admin/models");
  if (answer.status != 200) return refused(answer);
  if (o.is_json) {
    std::cout << answer.body << std::endl;
    return 0;
  }
  std::cout << fmt::format("{:<30} {:<9} {:<15} {:>5} {:>9} {:>9} {:>7}\n", "NAME", "STATUS",
                           "STATE", "PORT", "UP", "IN FLIGHT", "WAITING");
  auto models = json::parse(answer.body);
  for (auto& model : models) print_row(model);
  std::cout << std::flush;
  return 0;
}

int start(const gateway_client& gateway, const model_words& o) {
  const auto answer = gateway.send("POST", path_of(o.model, "/start"), {}, order_patience);
  if (answer.status != 200) return refused(answer);
  std::cout << o.model << " is ready" << std::endl;
  return 0;
}

int stop(const gateway_client& gateway, const model_words& o) {
  const auto* const query = o.now ? "?graceful=false" : "";
  const auto answer = gateway.send("POST", path_of(o.model, "/stop") + query, {}, order_patience);
  if (answer.status != 200) return refused(answer);
  std::cout << o.model << " is stopped" << std::endl;
  return 0;
}

int switch_to(const gateway_client& gateway, const model_words& o) {
  const auto answer =
      gateway.send("POST", "/admin/switch?model=" + encoded(o.model), {}, order_patience);
  if (answer.status != 200) return refused(answer);
  std::cout << o.model << " is the resident model" << std::endl;
  return 0;
}

int set_drained(const gateway_client& gateway, const model_words& o, const char* order,
                const char* outcome) {
  const auto query = o.model.empty() ? std::string() : "?model=" + encoded(o.model);
  const auto answer = gateway.send("POST", std::string("/admin/") + order + query);
  if (answer.status != 200) return refused(answer);
  std::cout << (o.model.empty() ? "the gateway" : o.model) << outcome << std::endl;
  return 0;
}

int drain(const gateway_client& gateway, const model_words& o) {
  return set_drained(gateway, o, "drain", " takes no new requests");
}

int resume(const gateway_client& gateway, const model_words& o) {
  return set_drained(gateway, o, "resume", " takes requests again");
}

int logs(const gateway_client& gateway, const model_words& o) {
  const auto path = path_of(o.model, fmt::format("/logs?lines={}&follow={}", o.lines, o.follow));
  const auto answer =
      gateway.stream(path, [](std::string_view text) { std::cout << text << std::flush; });
  return answer.status == 200 ? 0 : refused(answer);
}

using action = int (*)(const gateway_client&, const model_words&);

}  // namespace

std::function<std::optional<int>()> add_models(CLI::App& app,
                                               std::function<std::string()> data_dir) {
  struct added {
    CLI::App* command;
    gateway_client gateway;
    action run;
  };
  auto given = std::make_shared<model_words>();
  std::vector<added> all;
  const auto add = [&](const char* name, const char* what, action run) {
    auto* const command = app.add_subcommand(name, what);
    all.push_back({command, gateway_client(*command, data_dir), run});
    return command;
  };
  const auto add_for_model = [&](const char* name, const char* what, action run) {
    auto* const command = add(name, what, run);
    command->add_option("model", given->model, "The model's name or an alias")->required();
    return command;
  };
  add("models", "Show the models of a running gateway and their states", list)
      ->add_flag("--json", given->is_json, "Print all that the gateway tells, as JSON");
  add_for_model("start", "Have a running gateway start a model, and wait until it is ready", start);
  add_for_model("stop", "Have a running gateway stop a model once its requests have ended", stop)
      ->add_flag("--now", given->now, "Cut off the requests that it has");
  add_for_model("switch", "Make a model the resident one, whatever others have the memory",
                switch_to);
  const auto add_drain = [&](const char* name, const char* what, action run) {
    add(name, what, run)
        ->add_option("model", given->model, "A model's name or alias; without one, the gateway");
  };
  add_drain("drain", "Have a running gateway, or one model, take no new requests", drain);
  add_drain("resume", "Have a running gateway, or one model, take requests again", resume);
  auto* const log_command =
      add_for_model("logs", "Show what a model's runtimes wrote, and go on with -f", logs);
  log_command->add_flag("-f,--follow", given->follow, "Go on with what they write, until Ctrl-C");
  log_command->add_option("-n,--lines", given->lines, "How many of the lines that are there")
      ->check(CLI::Range(0u, max_lines))
      ->capture_default_str();
  return [all = std::move(all), given]() -> std::optional<int> {
    for (const auto& one : all) {
      if (one.command->parsed()) return one.run(one.gateway, *given);
    }
    return std::nullopt;
  };
}

}  // namespace signalbox::commands
