// Sends the requests of a trace when they are due, whether earlier ones are answered or not (an
// open loop), and records the result of each.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/chat_events.hpp"
#include "bench/http_client.hpp"
#include "bench/trace.hpp"

namespace signalbox::bench {

struct replay_options {
  std::string url = "http://127.0.0.1:8000", key, model = "demo", trace, json_file;
  double speedup = 60, timeout_s = 600;
  std::size_t limit = 0;  // 0: the whole trace
  std::uint32_t max_concurrent = 5000;
  bool stream = true;
};

// Times count from the moment a request is due, so that our own delays count too.
struct replay_result {
  std::size_t due = 0, sent = 0, ended = 0;
  std::size_t most_held_back = 0;             // most requests due, but over the bound
  std::map<std::string, std::size_t> errors;  // by kind
  std::size_t error_count = 0;
  std::string first_error;                                 // with its answer, at most 1 KiB
  std::uint64_t prompt_tokens = 0, completion_tokens = 0;  // as answered
  std::vector<double> queue_wait_ms, first_token_ms, end_to_end_ms;
  double took_s = 0;
};

class replayer {
 public:
  replayer(asio::io_context& io, const replay_options& options,
           const std::vector<trace_request>& trace);

  void start(std::function<void()> all_ended);
  void stop();  // sends no more; abandons the requests under way
  const replay_result& result() const { return result_; }

 private:
  class exchange;
  void send_due();
  void send(const trace_request& request, steady::time_point due);
  std::shared_ptr<http_connection> take_connection();
  void ended(const std::shared_ptr<http_connection>& connection);
  void fail(const std::string& kind, const std::string& answer);

  asio::io_context& io_;
  const replay_options& options_;
  const std::vector<trace_request>& trace_;
  const target to_;
  asio::steady_timer timer_;
  steady::time_point begin_{};
  std::vector<std::shared_ptr<http_connection>> idle_;
  std::string words_;  // enough for the longest prompt
  chat_reader reader_;
  replay_result result_;
  std::function<void()> all_ended_;
};

}  // namespace signalbox::bench
