// signalbox-replay: sends a recorded trace through a running gateway at a chosen speed-up, with the
// real lengths of prompts and answers, and checks that every token was accounted for.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/signal_set.hpp>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/gateway_counters.hpp"
#include "bench/replayer.hpp"
#include "bench/statistics.hpp"

namespace signalbox::bench {
namespace {

// Shows the progress: a bar on a terminal, elsewhere a line now and then.
class progress {
 public:
  progress(asio::io_context& io, const replay_result& result, std::size_t total)
      : timer_(io), result_(result), total_(total), terminal_(isatty(STDERR_FILENO) != 0) {
    next();
  }

  void end() {
    timer_.cancel();
    show();
    if (terminal_) std::cerr << '\n';
  }

 private:
  void next() {
    timer_.expires_after(std::chrono::milliseconds(terminal_ ? 200 : 5000));
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      show();
      next();
    });
  }

  void show() const {
    const double seconds = to_seconds(steady::now() - begin_);
    const auto text =
        fmt::format("{}/{} answered, {} under way, {} errors, {:.0f} s", result_.ended, total_,
                    result_.sent - result_.ended, result_.error_count, seconds);
    if (!terminal_) {
      std::cerr << text << std::endl;
      return;
    }
    constexpr std::size_t width = 30;
    const std::size_t full = width * result_.ended / total_;
    std::cerr << fmt::format("\r[{:<{}}] {}\033[K", std::string(full, '#'), width, text)
              << std::flush;
  }

  asio::steady_timer timer_;
  const replay_result& result_;
  const std::size_t total_;
  const bool terminal_;
  const steady::time_point begin_ = steady::now();
};

// Reads what the gateway has counted since `before`. Its counters may lag a little behind the
// answers.
nlohmann::json gateway_account(const target& to, const replay_options& options,
                               const token_counts& before, const token_counts& expected) {
  std::string why;
  token_counts counted;
  const auto until = steady::now() + std::chrono::seconds(10);
  while (true) {
    const auto now = read_token_counts(to, options.key, why);
    if (!now) return {{"compared", false}, {"why", why}};
    if (!now->found) return {{"compared", false}, {"why", "no signalbox_tokens_total there"}};
    counted = {now->prompt - before.prompt, now->completion - before.completion};
    if (counted.same_tokens(expected) || steady::now() > until) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return {{"compared", true},
          {"prompt_tokens", counted.prompt},
          {"completion_tokens", counted.completion},
          {"equal", counted.same_tokens(expected)}};
}

void print(const nlohmann::json& r) {
  const auto number = [](const nlohmann::json& value) {
    return value.is_number() ? std::to_string(value.get<std::uint64_t>()) : std::string("-");
  };
  const auto& gateway = r["gateway"];
  std::cout << fmt::format("{:<20} {:>12}   ({} times faster, {:.1f} s, {})\n", "requests",
                           number(r["requests"]), r["speedup"].get<double>(),
                           r["took_s"].get<double>(),
                           r["stream"].get<bool>() ? "streamed" : "not streamed");
  std::cout << fmt::format("{:<20} {:>12}\n", "errors", number(r["errors"]));
  for (const auto& [kind, count] : r["errors_by_kind"].items()) {
    std::cout << fmt::format("  {}: {}\n", kind, number(count));
  }
  if (r["errors"] != 0) std::cout << "  first: " << r["first_error"].get<std::string>() << '\n';
  std::cout << fmt::format("\n{:<20} {:>12} {:>12} {:>12}\n", "tokens", "in the trace", "answered",
                           "gateway");
  for (const char* kind : {"prompt", "completion"}) {
    const auto key = fmt::format("{}_tokens", kind);
    std::cout << fmt::format("{:<20} {:>12} {:>12} {:>12}\n", kind, number(r["expected"][key]),
                             number(r["answered"][key]),
                             number(gateway.value(key, nlohmann::json())));
  }
  if (!gateway["compared"].get<bool>()) {
    std::cout << "  not compared with the gateway: " << gateway["why"].get<std::string>() << '\n';
  }
  std::cout << fmt::format("\n{:<20} {:>12} {:>12} {:>12} {:>12}\n", "milliseconds", "p50", "p90",
                           "p99", "max");
  for (const char* name : {"queue_wait_ms", "first_token_ms", "end_to_end_ms"}) {
    const auto& s = r[name];
    if (s["count"] == 0) continue;
    std::cout << fmt::format("{:<20} {:>12.1f} {:>12.1f} {:>12.1f} {:>12.1f}\n",
                             std::string(name).substr(0, std::string(name).size() - 3),
                             s["p50"].get<double>(), s["p90"].get<double>(), s["p99"].get<double>(),
                             s["max"].get<double>());
  }
  if (r["most_held_back"] != 0) {
    std::cout << fmt::format("up to {} requests were due but held back by --concurrency-limit\n",
                             number(r["most_held_back"]));
  }
}

nlohmann::json to_json(const replay_options& options, const replay_result& result,
                       const token_counts& expected, std::size_t requests) {
  return {
      {"requests", requests},
      {"ended", result.ended},
      {"errors", result.error_count},
      {"errors_by_kind", result.errors},
      {"first_error", result.first_error},
      {"stream", options.stream},
      {"speedup", options.speedup},
      {"took_s", result.took_s},
      {"most_held_back", result.most_held_back},
      {"expected",
       {{"prompt_tokens", expected.prompt}, {"completion_tokens", expected.completion}}},
      {"answered",
       {{"prompt_tokens", result.prompt_tokens}, {"completion_tokens", result.completion_tokens}}},
      {"queue_wait_ms", summary(result.queue_wait_ms)},
      {"first_token_ms", summary(result.first_token_ms)},
      {"end_to_end_ms", summary(result.end_to_end_ms)}};
}

int run(const replay_options& options) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  const auto trace = load_trace(options.trace, options.limit);
  token_counts expected;
  for (const auto& request : trace) {
    expected.prompt += request.prompt_tokens;
    expected.completion += request.completion_tokens;
  }
  const auto to = parse_target(options.url);
  std::string why;
  const auto before = read_token_counts(to, options.key, why);

  asio::io_context io(1);
  replayer replay(io, options, trace);
  asio::signal_set signals(io, SIGINT, SIGTERM);
  progress shown(io, replay.result(), trace.size());
  bool interrupted = false;
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (error) return;
    interrupted = true;
    replay.stop();
  });
  replay.start([&] {
    signals.cancel();
    shown.end();
  });
  io.run();

  const auto& result = replay.result();
  auto json = to_json(options, result, expected, trace.size());
  json["interrupted"] = interrupted;
  const bool whole = !interrupted && result.error_count == 0 &&
                     result.prompt_tokens == expected.prompt &&
                     result.completion_tokens == expected.completion;
  json["gateway"] =
      !before || interrupted
          ? nlohmann::json{{"compared", false}, {"why", interrupted ? "interrupted" : why}}
          : gateway_account(to, options, *before, expected);
  print(json);
  if (interrupted) std::cout << "interrupted after " << result.ended << " answers\n";
  if (!options.json_file.empty()) {
    std::ofstream file(options.json_file);
    file << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
    if (!file.flush()) throw std::runtime_error("cannot write " + options.json_file);
  }
  return whole && json["gateway"].value("equal", true) ? 0 : 1;
}

}  // namespace
}  // namespace signalbox::bench

int main(int argc, char** argv) {
  signalbox::bench::replay_options options;
  CLI::App app{"Replays a recorded trace through a running gateway"};
  app.add_option("--url", options.url, "http://host:port")->capture_default_str();
  app.add_option("--key", options.key,
                 "API key; with scope monitor the gateway's count is compared")
      ->envname("SIGNALBOX_KEY")
      ->required();
  app.add_option("--model", options.model, "a simulated model")->capture_default_str();
  app.add_option("--trace", options.trace, "CSV: TIMESTAMP,ContextTokens,GeneratedTokens")
      ->required()
      ->take_last();
  app.add_option("--speedup", options.speedup, "how many times faster than it was")
      ->check(CLI::Range(0.1, 100000.0))
      ->capture_default_str();
  app.add_option("--limit", options.limit, "only the first so many requests; 0: all");
  app.add_flag("--stream,!--no-stream", options.stream, "server-sent events (default)");
  app.add_option("--concurrency-limit", options.max_concurrent, "requests under way at most")
      ->check(CLI::Range(1, 15000))
      ->capture_default_str();
  app.add_option("--timeout", options.timeout_s, "seconds for one request")
      ->check(CLI::Range(1.0, 86400.0))
      ->capture_default_str();
  app.add_option("--json", options.json_file, "write the result here too");
  CLI11_PARSE(app, argc, argv);
  try {
    return signalbox::bench::run(options);
  } catch (const std::exception& error) {
    std::cerr << "signalbox-replay: " << error.what() << '\n';
    return 1;
  }
}
