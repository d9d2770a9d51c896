// Many streams at once from the simulated runtime: the delay that a proxy adds to each event, and
// the memory of an open stream.
#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <map>

#include "bench/figures.hpp"
#include "bench/machine.hpp"
#include "bench/statistics.hpp"

namespace signalbox::bench {
namespace {

using namespace std::chrono_literals;

struct stream_result {
  nlohmann::json load;  // result of signalbox-stream-load
  double p50_ms = 0, p99_ms = 0;
  double bytes_per_stream = 0;  // resident memory beyond that without streams
  double cpu_us_per_event = 0;
};

stream_result run_streams(const workbench& bench, const contender& way, int streams, int tokens,
                          double ramp_s, double resident_before, double limit_s, bool apart) {
  static int runs = 0;
  const auto file = bench.folder() / fmt::format("streams-{}.json", ++runs);
  const double cpu_before = way.process ? cpu_seconds(way.process->pid()) : 0;
  child_process load(
      {bench.binary("signalbox-stream-load"), "--url", way.url, "--key", bench.key(), "--model",
       "sim", "--streams", std::to_string(streams), "--tokens", std::to_string(tokens), "--ramp",
       std::to_string(ramp_s), "--timeout", std::to_string(limit_s), "--json", file},
      bench.folder() / fmt::format("streams-{}.log", runs));
  if (apart) keep_on(core::first, load.pid());
  std::uint64_t resident = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(limit_s + 10);
  while (!load.wait(100ms)) {
    if (way.process) resident = std::max(resident, resident_bytes(way.process->pid()));
    if (std::chrono::steady_clock::now() > until) break;  // the next wait reports it
  }
  const auto status = load.wait(0ms);
  if (status != 0) {
    throw std::runtime_error("streams through " + way.name + " failed:\n" + load.output() +
                             (way.process ? way.process->output() : ""));
  }
  stream_result result;
  result.load = nlohmann::json::parse(std::ifstream(file));
  result.p50_ms = result.load["delay_ms"]["p50"];
  result.p99_ms = result.load["delay_ms"]["p99"];
  if (way.process) {
    result.bytes_per_stream = (static_cast<double>(resident) - resident_before) / streams;
    result.cpu_us_per_event =
        (cpu_seconds(way.process->pid()) - cpu_before) / result.load["events"].get<double>() * 1e6;
  }
  return result;
}

using stream_rounds = std::map<std::string, std::vector<stream_result>>;

template <typename Value>
std::vector<double> each(const std::vector<stream_result>& results, Value value) {
  std::vector<double> all;
  for (std::size_t i = 0; i < results.size(); ++i) all.push_back(value(results[i], i));
  return all;
}

void show(const stream_rounds& all, const std::string& name, report& out) {
  std::cout << fmt::format("\n{}\n{:<10} {:>12} {:>12} {:>14} {:>14}\n", name, "", "p50 ms",
                           "p99 ms", "KiB/stream", "CPU us/event");
  auto& json = out.part(name);
  for (const auto& [way, results] : all) {
    const auto p50 = each(results, [](auto& r, auto) { return r.p50_ms; });
    const auto p99 = each(results, [](auto& r, auto) { return r.p99_ms; });
    const auto memory = each(results, [](auto& r, auto) { return r.bytes_per_stream / 1024; });
    const auto cpu = each(results, [](auto& r, auto) { return r.cpu_us_per_event; });
    const bool direct = way == "direct";
    std::cout << fmt::format("{:<10} {:>12.3f} {:>12.3f} {:>14} {:>14}\n", way, median(p50),
                             median(p99), direct ? "-" : fmt::format("{:.1f}", median(memory)),
                             direct ? "-" : fmt::format("{:.1f}", median(cpu)));
    json[way] = {{"delay_p50_ms", spread(p50)}, {"delay_p99_ms", spread(p99)}};
    if (!direct) {
      json[way]["kib_per_stream"] = spread(memory);
      json[way]["cpu_us_per_event"] = spread(cpu);
    }
    for (const auto& result : results) json[way]["rounds"].push_back(result.load);
  }
  std::cout << std::flush;
}

void add_figures(const stream_rounds& all, const std::string& name, report& out) {
  const auto& direct = all.at("direct");
  const auto added = [&](const std::string& way, double stream_result::*which) {
    return each(all.at(way), [&](auto& r, auto i) { return r.*which - direct[i].*which; });
  };
  out.figure(name + ": added p99, gateway", added("gateway", &stream_result::p99_ms), "ms",
             bound::at_most, 3);
  out.note(name + ": added p99, HAProxy", added("haproxy", &stream_result::p99_ms), "ms");
  out.note(name + ": added p50, gateway", added("gateway", &stream_result::p50_ms), "ms");
  out.note(name + ": added p50, HAProxy", added("haproxy", &stream_result::p50_ms), "ms");
  const auto memory = [&](const std::string& way) {
    const auto each_round =
        each(all.at(way), [](auto& r, auto) { return r.bytes_per_stream / 1024; });
    return std::vector<double>{*std::max_element(each_round.begin(), each_round.end())};
  };
  out.figure(name + ": memory of a stream, gateway (most)", memory("gateway"), "KiB",
             bound::at_most, 64);
  out.note(name + ": memory of a stream, HAProxy (most)", memory("haproxy"), "KiB");
}

// Checks that every requested stream arrived whole, with the same text on every way.
void check(const stream_rounds& all, int streams, int tokens) {
  const auto& first = all.at("direct").front().load;
  const auto expected = static_cast<std::uint64_t>(streams) * static_cast<std::uint64_t>(tokens);
  for (const auto& [way, results] : all) {
    for (const auto& result : results) {
      const auto& load = result.load;
      if (load["texts"] != expected || load["events"] != first["events"] ||
          load["text_hash"] != first["text_hash"]) {
        throw std::runtime_error("events lost or changed through " + way + ": " + load.dump());
      }
    }
  }
}

}  // namespace

void measure_streams(const workbench& bench, const bench_options& options, report& out) {
  const auto simulation = start_simulation(bench, options.streams + 64, options.tokens_per_s);
  const std::vector<upstream> upstreams{{"sim", simulation.port}};
  const auto proxy = start_haproxy(bench, upstreams);
  // This uses a fresh gateway, so that no memory freed by other work is reused.
  const auto gateway = start_gateway(bench, "gateway-streams", upstreams);
  const std::vector<contender> ways{
      {"direct", simulation.url(), nullptr},
      {"haproxy", "http://127.0.0.1:" + std::to_string(proxy.ports[0]), proxy.process.get()},
      {"gateway", gateway.url(), gateway.process.get()}};
  // Three busy threads on two cores delay each other at random. So the contender has the last core
  // for itself; the runtime and the load generator share the first.
  if (options.apart) {
    keep_on(core::first, simulation.process->pid());
    keep_on(core::last, proxy.process->pid());
    keep_on(core::last, gateway.process->pid());
  }

  const double stream_s = static_cast<double>(options.stream_tokens) / options.tokens_per_s;
  std::map<std::string, double> resident;
  for (const auto& way : ways) {
    // A first stream puts everything in place.
    run_streams(bench, way, 1, options.tokens_per_s, 0, 0, 30, options.apart);
    if (way.process) resident[way.name] = static_cast<double>(resident_bytes(way.process->pid()));
  }
  stream_rounds all;
  for (int round = 0; round < options.stream_rounds; ++round) {
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const auto& way = ways[(i + static_cast<std::size_t>(round)) % ways.size()];
      all[way.name].push_back(run_streams(bench, way, options.streams, options.stream_tokens, 2,
                                          resident[way.name], stream_s * 3 + 30, options.apart));
    }
  }
  check(all, options.streams, options.stream_tokens);
  const auto name = fmt::format("{} streams of {} events/s", options.streams, options.tokens_per_s);
  show(all, name, out);
  add_figures(all, name, out);
}

}  // namespace signalbox::bench
