#include "bench/contenders.hpp"

#include <stdlib.h>

#include <boost/algorithm/string/replace.hpp>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "bench/http_client.hpp"

namespace signalbox::bench {

namespace embedded {
extern const std::string_view nginx_conf;
}

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::string random_token() {
  std::random_device random;
  std::string token = "bench-";
  for (int i = 0; i < 32; ++i) token += "0123456789abcdef"[random() % 16];
  return token;
}

// Waits until a request for `path` gets 200.
void await_ready(child_process& process, const std::string& url, const std::string& path,
                 std::chrono::seconds limit) {
  const auto to = parse_target(url);
  const auto until = steady::now() + limit;
  while (true) {
    if (fetch(to, get_request(to, path, "none"), 2s).status == 200) return;
    if (!process.running() || steady::now() > until) {
      throw std::runtime_error("no answer from " + url + path + "; its log:\n" + process.output());
    }
    pause_for(50ms);
  }
}

}  // namespace

workbench::workbench(fs::path binaries, bool keep)
    : binaries_(std::move(binaries)), keep_(keep), key_(random_token()) {
  std::string name = (fs::temp_directory_path() / "signalbox-bench-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("cannot make a folder like " + name);
  folder_ = name;
  // As root, the gateway's PostgreSQL runs as another user, who must get through to the data.
  fs::permissions(folder_, fs::perms::group_exec | fs::perms::others_exec, fs::perm_options::add);
}

workbench::~workbench() {
  std::error_code ignored;
  if (keep_) {
    std::cerr << "kept: " << folder_ << '\n';
  } else {
    fs::remove_all(folder_, ignored);
  }
}

fs::path workbench::binary(const std::string& name) const {
  auto path = binaries_ / name;
  if (!fs::exists(path)) throw std::runtime_error(path.string() + " is missing: run ./dev build");
  return path;
}

fs::path workbench::write(const std::string& name, const std::string& content) const {
  auto path = folder_ / name;
  std::ofstream file(path, std::ios::binary);
  file << content;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
  return path;
}

nginx_upstream start_nginx(const workbench& bench, const std::string& answer) {
  nginx_upstream result;
  result.small_port = free_port();
  result.large_port = free_port();
  const auto small = std::to_string(result.small_port), large = std::to_string(result.large_port);
  std::string config(embedded::nginx_conf);
  boost::replace_all(config, "SMALL_PORT", small);
  boost::replace_all(config, "LARGE_PORT", large);
  boost::replace_all(config, "ANSWER", answer);
  std::vector<std::string> argv{
      "nginx", "-p", bench.folder(), "-c", bench.write("nginx.conf", config), "-e", "stderr"};
  if (geteuid() == 0) argv.insert(argv.end(), {"-g", "user root;"});  // the folder is root's
  result.process = std::make_unique<child_process>(argv, bench.folder() / "nginx.log");
  for (const auto& port : {small, large}) {
    await_ready(*result.process, "http://127.0.0.1:" + port, "/", 10s);
  }
  return result;
}

server start_simulation(const workbench& bench, int slots, int tokens_per_s) {
  server result;
  result.port = free_port();
  result.process = std::make_unique<child_process>(
      std::vector<std::string>{bench.binary("signalbox-sim-runtime"), "--port",
                               std::to_string(result.port), "--model", "sim", "--prefill-tps",
                               "1000000", "--decode-tps", std::to_string(tokens_per_s), "--slots",
                               std::to_string(slots)},
      bench.folder() / "simulation.log");
  await_ready(*result.process, result.url(), "/health", 10s);
  return result;
}

haproxy start_haproxy(const workbench& bench, const std::vector<upstream>& upstreams,
                      threads_of how_many) {
  haproxy result;
  std::string config = std::string("global\n  maxconn 9000\n") +
                       (how_many == threads_of::one ? "  nbthread 1\n" : "") +
                       "defaults\n  mode http\n  option http-keep-alive\n  http-reuse always\n"
                       "  option http-no-delay\n"  // events of a stream go out at once
                       "  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
                       "  timeout http-keep-alive 1h\n";
  for (const auto& to : upstreams) {
    const auto port = std::to_string(result.ports.emplace_back(free_port()));
    config += "listen " + to.model + "\n  bind 127.0.0.1:" + port + " backlog 4096\n" +
              "  server one 127.0.0.1:" + std::to_string(to.port) + "\n";
  }
  const std::string name = "haproxy-" + std::to_string(result.ports.front());
  const auto file = bench.write(name + ".cfg", config);
  result.process =
      std::make_unique<child_process>(std::vector<std::string>{"haproxy", "-db", "-q", "-f", file},
                                      bench.folder() / (name + ".log"));
  return result;
}

server start_gateway(const workbench& bench, const std::string& name,
                     const std::vector<upstream>& upstreams, const nlohmann::json& changes) {
  server result;
  result.port = free_port();
  // The file is written as JSON, which is also YAML.
  nlohmann::json config{
      {"server", {{"shards", 1}}},
      {"keys", {{{"id", "bench"}, {"token", bench.key()}, {"scopes", {"admin"}}}}}};
  for (const auto& to : upstreams) {
    config["models"].push_back({{"name", to.model},
                                {"driver", "external"},
                                {"endpoint", "http://127.0.0.1:" + std::to_string(to.port)},
                                {"max_concurrent", 4096}});
  }
  config.merge_patch(changes);
  const auto file = bench.write(name + ".yaml", config.dump(2));
  result.process = std::make_unique<child_process>(
      std::vector<std::string>{bench.binary("signalbox"), "serve", "--config", file, "--data",
                               bench.folder() / (name + "-data"), "--listen",
                               "127.0.0.1:" + std::to_string(result.port)},
      bench.folder() / (name + ".log"));
  await_ready(*result.process, result.url(), "/health/ready", 60s);
  return result;
}

const std::string& contender::key(const workbench& bench) const {
  static const std::string none;
  return anonymous ? none : bench.key();
}

void await_answer(const workbench& bench, const contender& way, const chat_load& load,
                  std::chrono::seconds limit) {
  const auto to = parse_target(way.url);
  const auto until = steady::now() + limit;
  while (true) {
    const auto got =
        fetch(to, post_request(to, "/v1/chat/completions", way.key(bench), load.request), 5s);
    if (got.status == 200 && got.end == exchange_end::complete && got.body == load.answer) return;
    if (steady::now() >= until) {
      throw std::runtime_error("wrong answer through " + way.name + ": " + to_string(got.end) +
                               ", HTTP " + std::to_string(got.status) + "\n" +
                               got.body.substr(0, 1000) + "\n" +
                               (way.process ? way.process->output() : ""));
    }
    pause_for(50ms);
  }
}

void check_answer(const workbench& bench, const contender& way, const chat_load& load) {
  await_answer(bench, way, load, 0s);
}

}  // namespace signalbox::bench
