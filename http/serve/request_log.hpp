// The request log: a line of JSON for each answered request. It has no bodies and no credentials.
// It shows only the checked ids that a client sent, and the pattern of the route instead of the
// path.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "actors/messages.hpp"
#include "config/settings.hpp"

namespace signalbox::http {

// The line of one request.
struct request_record {
  std::string_view request_id, method, route;  // `route` as in openapi.yaml; empty: unknown
  std::string address;                         // of the client
  std::string_view key_id, client_id;          // empty: none
  int status = 0;
  duration took{};
  struct inference_part {
    std::string_view model, outcome;
    bool stream = false;
    duration queued{};
    usage_counts usage;
  };
  std::optional<inference_part> inference;
};

// Writes the lines on a thread of its own.
class request_log {
 public:
  // Throws std::runtime_error that names a file which cannot be opened.
  request_log(const config::log_options& options, const std::string& data_dir);
  ~request_log();  // all lines are in the file afterwards

  // Never waits: lines that come faster than they can be written replace the oldest. Thread-safe.
  void write(const request_record& record);

  // Flushes the file, and returns how many lines were lost since the last call. Thread-safe.
  std::uint64_t flush();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace signalbox::http
