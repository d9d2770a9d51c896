// Events that a driver reports about a runtime that it started.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "scheduling/model_lifecycle.hpp"

struct ssl_ctx_st;  // OpenSSL's

namespace signalbox {

// The life of a runtime as its driver reports it: spawned, ready (at most once), exited, released;
// or exited and released without ready. `released` means that its whole process tree is gone.
// `checked` may come in between, any number of times.
struct runtime_spawned {
  std::uint64_t incarnation;
  std::int64_t pid;
};
struct runtime_ready {
  std::uint64_t incarnation;
  std::string host;     // as in backend_endpoint
  std::string address;  // as in backend_endpoint
  std::uint16_t port;
  std::string path{};                   // as in backend_endpoint
  std::shared_ptr<ssl_ctx_st> trust{};  // as in backend_endpoint
};
// The answer to a check, or unasked: an external runtime that is not ready cannot be reached.
struct runtime_checked {
  std::uint64_t incarnation;
  bool is_healthy;
  std::string detail;  // "GET /health on port 41234 was not answered in 2 s"
};
struct runtime_exited {
  std::uint64_t incarnation;
  scheduling::exit_reason reason;
  std::string detail;                 // "exit status 3", "signal 11 (SIGSEGV)"
  std::vector<std::string> log_tail;  // the last 200 lines of its output
  std::string cure{};  // what may help, as a sentence of ours; empty: nothing is known
};
struct runtime_released {
  std::uint64_t incarnation;
};
using runtime_event =
    std::variant<runtime_spawned, runtime_ready, runtime_checked, runtime_exited, runtime_released>;

}  // namespace signalbox
