// signalbox-bench: measures the gateway side by side with HAProxy and with no proxy at all, on this
// machine, in one run, and compares the figures with their targets.
#include <CLI/CLI.hpp>
#include <fstream>
#include <functional>
#include <iostream>

#include "bench/figures.hpp"
#include "bench/machine.hpp"

namespace signalbox::bench {

namespace embedded {
extern const std::string_view wrk_lua;
}

namespace {

void print_machine(const nlohmann::json& machine) {
  std::cout << machine["date"].get<std::string>() << ", " << machine["cores"] << " cores of "
            << machine["processor"].get<std::string>() << ", "
            << std::lround(machine["memory_gib"].get<double>()) << " GiB, Linux "
            << machine["kernel"].get<std::string>() << ", load average "
            << machine["load_average_before"] << std::endl;
}

int run(const bench_options& options) {
  take_signals();
  auto machine = describe_machine();
  print_machine(machine);
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  const workbench bench(self.parent_path(), options.keep);
  bench.write("wrk.lua", std::string(embedded::wrk_lua));
  report out;
  const std::pair<std::string, std::function<void()>> parts[] = {
      {"chat", [&] { measure_chat(bench, options, out); }},
      {"keys", [&] { measure_keys(bench, options, out); }},
      {"streams", [&] { measure_streams(bench, options, out); }},
      {"admission", [&] { measure_admission(bench, out); }},
      {"fairness", [&] { measure_fairness(out); }}};
  for (const auto& [name, measure] : parts) {
    const auto& only = options.only;
    if (!only.empty() && std::find(only.begin(), only.end(), name) == only.end()) continue;
    try {
      measure();
    } catch (const interrupted&) {
      throw;
    } catch (const std::exception& error) {
      std::cerr << "bench: " << name << ": " << error.what() << '\n';
      out.failed(name, error.what());
    }
  }
  machine["load_average_after"] = load_average();
  out.print_figures();
  if (!options.json_file.empty()) {
    auto result = out.json();
    result["machine"] = machine;
    result["options"] = {{"rounds", options.rounds},
                         {"seconds", options.seconds},
                         {"stream_rounds", options.stream_rounds},
                         {"stream_tokens", options.stream_tokens},
                         {"apart", options.apart}};
    std::ofstream file(options.json_file);
    file << result.dump(2) << '\n';
    if (!file.flush()) throw std::runtime_error("cannot write " + options.json_file);
  }
  return out.any_failed() ? 1 : 0;
}

}  // namespace
}  // namespace signalbox::bench

int main(int argc, char** argv) {
  using namespace signalbox::bench;
  bench_options options;
  CLI::App app{"Measures the gateway against HAProxy and a direct connection; about nine minutes"};
  app.add_option("--json", options.json_file, "write everything that was measured here too");
  app.add_option("--rounds", options.rounds, "of wrk for each contender")
      ->check(CLI::Range(1, 100));
  app.add_option("--seconds", options.seconds, "of each of these rounds")
      ->check(CLI::Range(1, 600));
  app.add_option("--stream-rounds", options.stream_rounds)->check(CLI::Range(1, 100));
  app.add_option("--streams", options.streams)->check(CLI::Range(1, 4000));
  app.add_option("--stream-tokens", options.stream_tokens, "events of each stream, 50 a second")
      ->check(CLI::Range(150, 20000));
  app.add_flag("!--together", options.apart,
               "in streams, leave it to the kernel who runs on which core");
  app.add_option("--only", options.only, "chat, keys, streams, admission, fairness")
      ->check(CLI::IsMember({"chat", "keys", "streams", "admission", "fairness"}));
  app.add_flag("--keep", options.keep, "keep the temporary folder with all logs");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const interrupted&) {
    std::cerr << "bench: interrupted; everything is stopped\n";
    return 130;
  } catch (const std::exception& error) {
    std::cerr << "bench: " << error.what() << '\n';
    return 1;
  }
}
