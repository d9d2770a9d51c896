// Chats that are not streamed, with wrk: small ones for throughput and latency, large ones for the
// cost of a body.
#include <fmt/format.h>

#include <iostream>
#include <map>

#include "bench/figures.hpp"
#include "bench/statistics.hpp"
#include "bench/wrk.hpp"

namespace signalbox::bench {
namespace {

constexpr std::size_t small_bytes = 600, large_bytes = 100 * 1024;

// Text that makes the JSON of `object` so many bytes long, put at the end of `content`.
void pad(nlohmann::json& object, nlohmann::json& content, std::size_t bytes) {
  static const std::string filler = "The signalman sets the points before the train is let in. ";
  auto text = content.get<std::string>();
  const std::size_t size = object.dump().size();
  while (text.size() + size < bytes + content.get_ref<const std::string&>().size()) {
    text += filler[text.size() % filler.size()];
  }
  content = text;
}

std::string chat_request(const std::string& model, std::size_t bytes) {
  nlohmann::json body{{"model", model},
                      {"messages",
                       {{{"role", "system"}, {"content", "You answer in one sentence."}},
                        {{"role", "user"}, {"content", ""}}}},
                      {"temperature", 0.7},
                      {"max_tokens", 128}};
  pad(body, body["messages"][1]["content"], bytes);
  return body.dump();
}

// Only characters that nginx takes literally inside quotes.
std::string chat_answer(std::size_t bytes) {
  nlohmann::json body{
      {"id", "chatcmpl-bench"},
      {"object", "chat.completion"},
      {"created", 1700000000},
      {"model", "demo"},
      {"choices",
       {{{"index", 0},
         {"message", {{"role", "assistant"}, {"content", ""}}},
         {"finish_reason", "stop"}}}},
      {"usage", {{"prompt_tokens", 90}, {"completion_tokens", 75}, {"total_tokens", 165}}}};
  pad(body, body["choices"][0]["message"]["content"], bytes);
  return body.dump();
}

using rounds = std::map<std::string, std::vector<wrk_result>>;  // by contender

// Every contender in every round, each round beginning with another one: what disturbs the machine
// for a while disturbs all of them.
rounds run_rounds(const workbench& bench, const std::vector<contender>& ways, const chat_load& load,
                  int connections, const bench_options& options) {
  rounds results;
  for (int round = 0; round < options.rounds; ++round) {
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const auto& way = ways[(i + static_cast<std::size_t>(round)) % ways.size()];
      results[way.name].push_back(run_wrk(bench, way, load, connections, options.seconds));
    }
  }
  return results;
}

std::vector<double> values(const rounds& all, const std::string& name, double wrk_result::*which) {
  std::vector<double> result;
  for (const auto& one : all.at(name)) result.push_back(one.*which);
  return result;
}

// Round by round, so that both stand for the same seconds (nearly).
std::vector<double> ratios(const rounds& all, double wrk_result::*which) {
  auto result = values(all, "gateway", which);
  const auto base = values(all, "haproxy", which);
  for (std::size_t i = 0; i < result.size(); ++i) result[i] /= base[i];
  return result;
}

void show(const std::string& title, const rounds& all, nlohmann::json& json) {
  std::cout << fmt::format("\n{}\n{:<10} {:>12} {:>10} {:>10} {:>16}\n", title, "", "requests/s",
                           "p50 us", "p99 us", "CPU us/request");
  for (const auto& [name, results] : all) {
    const auto of = [&, &n = name](double wrk_result::*which) { return values(all, n, which); };
    const auto rate = of(&wrk_result::requests_per_s), p50 = of(&wrk_result::p50_us),
               p99 = of(&wrk_result::p99_us), cpu = of(&wrk_result::cpu_us_per_request);
    const bool direct = name == "direct";
    std::cout << fmt::format("{:<10} {:>12.0f} {:>10.0f} {:>10.0f} {:>16}\n", name, median(rate),
                             median(p50), median(p99),
                             direct ? "-" : fmt::format("{:.1f}", median(cpu)));
    json[name] = {
        {"requests_per_s", spread(rate)}, {"p50_us", spread(p50)}, {"p99_us", spread(p99)}};
    if (!direct) json[name]["cpu_us_per_request"] = spread(cpu);
  }
  std::cout << std::flush;
}

void measure_small(const workbench& bench, const std::vector<contender>& ways,
                   const chat_load& load, const bench_options& options, report& out) {
  for (const int connections : {1, 32, 256}) {
    const auto name = fmt::format("chat, {} connections", connections);
    const auto all = run_rounds(bench, ways, load, connections, options);
    show(fmt::format("{} ({} bytes to, {} bytes back)", name, load.request.size(),
                     load.answer.size()),
         all, out.part(name));
    if (connections == 1) {
      out.figure(name + ": p50, gateway / HAProxy", ratios(all, &wrk_result::p50_us), "x",
                 bound::at_most, 1.2);
      out.note(name + ": requests/s, gateway / HAProxy", ratios(all, &wrk_result::requests_per_s),
               "x");
    } else {
      out.figure(name + ": requests/s, gateway / HAProxy", ratios(all, &wrk_result::requests_per_s),
                 "x", bound::at_least, 0.85);
    }
    out.note(name + ": p99, gateway / HAProxy", ratios(all, &wrk_result::p99_us), "x");
    out.note(name + ": CPU, gateway / HAProxy", ratios(all, &wrk_result::cpu_us_per_request), "x");
  }
}

}  // namespace

void measure_chat(const workbench& bench, const bench_options& options, report& out) {
  const auto make_load = [&](const std::string& model, std::size_t bytes) {
    chat_load load{model, chat_request(model, bytes), chat_answer(small_bytes), {}};
    load.request_file = bench.write(model + ".json", load.request);
    return load;
  };
  const auto small = make_load("small", small_bytes), large = make_load("large", large_bytes);
  const auto nginx = start_nginx(bench, small.answer);
  const std::vector<upstream> upstreams{{"small", nginx.small_port}, {"large", nginx.large_port}};
  const auto proxy = start_haproxy(bench, upstreams);
  const auto gateway = start_gateway(bench, "gateway", upstreams);

  const auto ways = [&](std::size_t which, const chat_load& load) {
    const auto url = [](std::uint16_t port) { return "http://127.0.0.1:" + std::to_string(port); };
    std::vector<contender> all{{"direct", url(upstreams[which].port), nullptr},
                               {"haproxy", url(proxy.ports[which]), proxy.process.get()},
                               {"gateway", gateway.url(), gateway.process.get()}};
    for (const auto& way : all) await_answer(bench, way, load, std::chrono::seconds(10));
    return all;
  };
  measure_small(bench, ways(0, small), small, options, out);

  const std::string name = "chat of 100 KB, 8 connections";
  const auto all = run_rounds(bench, ways(1, large), large, 8, options);
  show(fmt::format("{} ({} bytes to, {} bytes back)", name, large.request.size(),
                   large.answer.size()),
       all, out.part(name));
  out.figure(name + ": CPU, gateway / HAProxy", ratios(all, &wrk_result::cpu_us_per_request), "x",
             bound::at_most, 1.3);
  out.note(name + ": requests/s, gateway / HAProxy", ratios(all, &wrk_result::requests_per_s), "x");
}

}  // namespace signalbox::bench
