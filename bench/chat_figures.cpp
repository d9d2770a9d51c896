// Chats without streaming, with wrk: small ones for throughput and latency, large ones for the cost
// of a body; and the cost of keys with limits.
#include <fmt/format.h>

#include <iostream>
#include <map>

#include "bench/figures.hpp"
#include "bench/http_client.hpp"
#include "bench/statistics.hpp"
#include "bench/wrk.hpp"

namespace signalbox::bench {
namespace {

constexpr std::size_t small_bytes = 600, large_bytes = 100 * 1024;

// Makes a text that, appended to `content`, brings the JSON of `object` to the given number of
// bytes.
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

// Uses only characters that nginx takes literally inside quotes.
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

// Runs every contender in every round. Each round begins with another contender, so that a
// disturbance of the machine affects all of them.
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

// Compares round by round, so that both figures come from nearly the same seconds.
std::vector<double> ratios(const rounds& all, double wrk_result::*which,
                           const std::string& over = "gateway",
                           const std::string& under = "haproxy") {
  auto result = values(all, over, which);
  const auto base = values(all, under, which);
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
  const auto notes = [&](const std::string& name, const rounds& all, const std::string& over,
                         const std::string& under) {
    const auto title = name + ": " + over + " / " + under;
    out.note(title + ", requests/s", ratios(all, &wrk_result::requests_per_s, over, under), "x");
    out.note(title + ", CPU", ratios(all, &wrk_result::cpu_us_per_request, over, under), "x");
  };
  for (const int connections : {1, 32, 256}) {
    const auto name = fmt::format("chat, {} connections", connections);
    const auto all = run_rounds(bench, ways, load, connections, options);
    show(fmt::format("{} ({} bytes to, {} bytes back)", name, load.request.size(),
                     load.answer.size()),
         all, out.part(name));
    if (connections == 1) {
      out.figure(name + ": p50, gateway / HAProxy", ratios(all, &wrk_result::p50_us), "x",
                 bound::at_most, 1.2);
    }
    out.figure(name + ": requests/s, gateway / HAProxy", ratios(all, &wrk_result::requests_per_s),
               "x", bound::at_least, 0.95);
    out.figure(name + ": CPU, gateway / HAProxy", ratios(all, &wrk_result::cpu_us_per_request), "x",
               bound::at_most, 1.05);
    out.note(name + ": p99, gateway / HAProxy", ratios(all, &wrk_result::p99_us), "x");
    notes(name, all, "gateway-1", "haproxy-1");
  }
}

// Makes keys for `signalbox keys import`. The key that the benchmark uses has every limit, each so
// high that it is never reached.
std::string many_keys(const workbench& bench, int count) {
  nlohmann::json keys = nlohmann::json::array();
  for (int i = 1; i < count; ++i) {
    const auto number = std::to_string(i);
    keys.push_back({{"id", "key-" + number},
                    {"token", "secret-of-nobody-" + number},
                    {"scopes", {"realtime"}}});
  }
  keys.push_back({{"id", "bench"},
                  {"token", bench.key()},
                  {"scopes", {"realtime", "admin"}},
                  {"limits",
                   {{"requests_per_minute", 1e9},
                    {"burst", 1e9},
                    {"tokens_per_minute", 1e9},
                    {"max_concurrent", 1000000},
                    {"tokens_per_day", 1e15}}}});
  return nlohmann::json{{"keys", keys}}.dump();
}

// Measures the time from the order to the answer, which comes when all shards know the key.
double time_publishing_ms(const workbench& bench, const server& gateway) {
  const auto to = parse_target(gateway.url());
  const auto start = std::chrono::steady_clock::now();
  const auto made =
      fetch(to, post_request(to, "/v1/keys", bench.key(), "{}"), std::chrono::seconds(30));
  if (made.status != 201) throw std::runtime_error("no key was made: " + made.body);
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

chat_load make_load(const workbench& bench, const std::string& model, std::size_t bytes) {
  chat_load load{model, chat_request(model, bytes), chat_answer(small_bytes), {}};
  load.request_file = bench.write(model + ".json", load.request);
  return load;
}

}  // namespace

void measure_keys(const workbench& bench, const bench_options& options, report& out) {
  constexpr int count = 100000;
  const auto load = make_load(bench, "small", small_bytes);
  const auto nginx = start_nginx(bench, load.answer);
  const std::vector<upstream> upstreams{{"small", nginx.small_port}};
  const auto config = bench.write(
      "keys.yaml",
      nlohmann::json{
          {"models",
           {{{"name", "small"}, {"driver", "external"}, {"endpoint", "http://127.0.0.1:1"}}}}}
          .dump());
  child_process import(
      {bench.binary("signalbox"), "keys", "import", "--config", config, "--data",
       bench.folder() / "keys-data", bench.write("keys.json", many_keys(bench, count))},
      bench.folder() / "import.log");
  if (import.wait(std::chrono::minutes(5)) != 0) {
    throw std::runtime_error("the keys were not imported: " + import.output());
  }
  const auto checked = start_gateway(bench, "keys", upstreams, {{"keys", nullptr}});
  const auto open =
      start_gateway(bench, "open", upstreams, {{"security", {{"anonymous_scopes", {"realtime"}}}}});
  const std::vector<contender> ways{{"open", open.url(), open.process.get(), true},
                                    {"keys", checked.url(), checked.process.get()}};
  for (const auto& way : ways) await_answer(bench, way, load, std::chrono::seconds(10));
  const auto name = fmt::format("{} keys with limits, 32 connections", count);
  auto many = options;
  many.rounds *= 5;  // the difference is smaller than that between two rounds
  const auto all = run_rounds(bench, ways, load, 32, many);
  show(name, all, out.part(name));
  out.figure(name + ": requests/s, with / without a key",
             ratios(all, &wrk_result::requests_per_s, "keys", "open"), "x", bound::at_least, 0.95);
  out.note(name + ": CPU, with / without a key",
           ratios(all, &wrk_result::cpu_us_per_request, "keys", "open"), "x");
  std::vector<double> publishing;
  for (int i = 0; i < options.rounds; ++i) publishing.push_back(time_publishing_ms(bench, checked));
  out.figure("a new key among 100,000: until all shards know it", publishing, "ms", bound::at_most,
             1000);
}

void measure_chat(const workbench& bench, const bench_options& options, report& out) {
  const auto small = make_load(bench, "small", small_bytes);
  const auto large = make_load(bench, "large", large_bytes);
  const auto nginx = start_nginx(bench, small.answer);
  const std::vector<upstream> upstreams{{"small", nginx.small_port}, {"large", nginx.large_port}};
  const auto proxy = start_haproxy(bench, upstreams, threads_of::machine);
  const auto proxy_of_one = start_haproxy(bench, upstreams);
  const auto gateway =
      start_gateway(bench, "gateway", upstreams, {{"server", {{"shards", nullptr}}}});
  const auto gateway_of_one = start_gateway(bench, "gateway-1", upstreams);

  const auto ways = [&](std::size_t which, const chat_load& load, bool with_one) {
    const auto url = [](std::uint16_t port) { return "http://127.0.0.1:" + std::to_string(port); };
    std::vector<contender> all{{"direct", url(upstreams[which].port), nullptr},
                               {"haproxy", url(proxy.ports[which]), proxy.process.get()},
                               {"gateway", gateway.url(), gateway.process.get()}};
    if (with_one) {
      all.push_back({"haproxy-1", url(proxy_of_one.ports[which]), proxy_of_one.process.get()});
      all.push_back({"gateway-1", gateway_of_one.url(), gateway_of_one.process.get()});
    }
    for (const auto& way : all) await_answer(bench, way, load, std::chrono::seconds(10));
    return all;
  };
  measure_small(bench, ways(0, small, true), small, options, out);

  const std::string name = "chat of 100 KB, 8 connections";
  const auto all = run_rounds(bench, ways(1, large, false), large, 8, options);
  show(fmt::format("{} ({} bytes to, {} bytes back)", name, large.request.size(),
                   large.answer.size()),
       all, out.part(name));
  out.figure(name + ": CPU, gateway / HAProxy", ratios(all, &wrk_result::cpu_us_per_request), "x",
             bound::at_most, 1.3);
  out.note(name + ": requests/s, gateway / HAProxy", ratios(all, &wrk_result::requests_per_s), "x");
}

}  // namespace signalbox::bench
