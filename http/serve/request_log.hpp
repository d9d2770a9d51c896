// A line of JSON for each request that was answered, for those who keep such logs. It has no bodies
// and no credentials: of what a client sent only its checked ids are in it, and the route's pattern
// stands for the path.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "actors/messages.hpp"
#include "config/settings.hpp"

namespace signalbox::http {

struct request_record {
  std::string_view request_id, method, route;  // the route as openapi.yaml writes it; empty: none
  std::string address;                         // the peer's
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

class request_log {
 public:
  // Throws std::runtime_error that names a file which cannot be had.
  request_log(const config::log_options& options, const std::string& data_dir);
  ~request_log();  // what was written is in the file then

  // Never waits: lines that come faster than they can be written push out the oldest. Thread-safe.
  void write(const request_record& record);

  // Sends to the file what was written, and returns how many lines were lost since the last call.
  // Thread-safe.
  std::uint64_t flush();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace signalbox::http
