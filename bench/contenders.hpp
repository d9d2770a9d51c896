// The upstreams of the benchmark and the ways to them (direct, HAProxy, the gateway).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/child_process.hpp"

namespace signalbox::bench {

// A private temporary folder, removed with the object, and the folder of our programs.
class workbench {
 public:
  explicit workbench(std::filesystem::path binaries, bool keep);
  ~workbench();
  workbench(const workbench&) = delete;
  workbench& operator=(const workbench&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path binary(const std::string& name) const;  // throws if it is not built
  std::filesystem::path write(const std::string& name, const std::string& content) const;
  const std::string& key() const { return key_; }

 private:
  std::filesystem::path folder_, binaries_;
  bool keep_;
  std::string key_;  // random; the gateway accepts it
};

// A request and its only right answer.
struct chat_load {
  std::string model;  // name of the upstream at the gateway
  std::string request, answer;
  std::filesystem::path request_file;
};

// A running server.
struct server {
  std::unique_ptr<child_process> process;
  std::uint16_t port = 0;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port); }
};

// A way to an upstream. `process` is the proxy in between; null for the direct way.
struct contender {
  std::string name, url;
  child_process* process = nullptr;
  bool anonymous = false;  // the requests carry no key
  const std::string& key(const workbench& bench) const;
};

// An upstream model as the proxies see it.
struct upstream {
  std::string model;
  std::uint16_t port = 0;
};

// nginx with `return 200` on `small_port`; on `large_port` it reads the whole request body first.
struct nginx_upstream {
  std::unique_ptr<child_process> process;
  std::uint16_t small_port = 0, large_port = 0;
};
nginx_upstream start_nginx(const workbench& bench, const std::string& answer);
server start_simulation(const workbench& bench, int slots, int tokens_per_s);

// One port for each upstream, in their order.
struct haproxy {
  std::unique_ptr<child_process> process;
  std::vector<std::uint16_t> ports;
};
enum class threads_of : std::uint8_t { one, machine };  // machine: as it comes, one for each core
haproxy start_haproxy(const workbench& bench, const std::vector<upstream>& upstreams,
                      threads_of how_many = threads_of::one);
// One shard, unless `changes` say otherwise: a JSON merge patch (RFC 7396) to the configuration
// that all share. The data folder is bench.folder() / (name + "-data").
server start_gateway(const workbench& bench, const std::string& name,
                     const std::vector<upstream>& upstreams,
                     const nlohmann::json& changes = nlohmann::json::object());

// Repeats the request of the load until the answer is right, for a bounded time. Throws
// std::runtime_error with the wrong answer and the log of the process.
void await_answer(const workbench& bench, const contender& way, const chat_load& load,
                  std::chrono::seconds limit);
void check_answer(const workbench& bench, const contender& way, const chat_load& load);

}  // namespace signalbox::bench
