#include "commands/reload.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "commands/gateway_client.hpp"

namespace signalbox::commands {
namespace {

// Returns whether there was something to print.
bool print(const nlohmann::json& report, const char* list, const char* words) {
  const auto names = report.value(list, std::vector<std::string>());
  if (names.empty()) return false;
  std::cout << words << ": " << fmt::format("{}", fmt::join(names, ", ")) << "\n";
  return true;
}

int reload(const gateway_client& gateway, bool now) {
  const auto answer = gateway.send("POST", now ? "/admin/reload?now=true" : "/admin/reload");
  if (answer.status != 200) {
    // Of a reload that did not end in time it is not known what it changed.
    const auto* what = answer.status < 500 ? "nothing was changed: " : "";
    std::cerr << what << error_text(answer) << std::endl;
    return 1;
  }
  const auto report = nlohmann::json::parse(answer.body);
  bool differs = print(report, "added", "added");
  differs |= print(report, "removed", "removed, once their requests have ended");
  differs |= print(report, "changed", "changed");
  differs |= print(report, "restarting",
                   now ? "changed, restart now" : "changed, restart when they are idle");
  differs |= print(report, "needs_restart",
                   "changed, but used only from the next start of the gateway on");
  std::cout << "the gateway has read its configuration again"
            << (differs ? "" : "; nothing differs") << std::endl;
  return 0;
}

}  // namespace

std::function<std::optional<int>()> add_reload(CLI::App& app,
                                               std::function<std::string()> data_dir) {
  auto* command =
      app.add_subcommand("reload",
                         "Have the gateway read its own configuration file again; --config and "
                         "--data only say which gateway");
  auto now = std::make_shared<bool>(false);
  command->add_flag("--now", *now, "Restart changed models at once, not when they are next idle");
  const gateway_client gateway(*command, std::move(data_dir));
  return [=]() -> std::optional<int> {
    if (!command->parsed()) return std::nullopt;
    return reload(gateway, *now);
  };
}

}  // namespace signalbox::commands
