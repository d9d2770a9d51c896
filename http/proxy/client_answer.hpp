// The client's side of one inference request: it passes the answer of its call on, whole or as a
// stream with back-pressure, tells a waiting stream its place, and writes the request log. Lives on
// its shard's thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <optional>
#include <restinio/request_handler.hpp>
#include <string>
#include <string_view>

#include "http/proxy/upstream_call.hpp"
#include "http/serve/response_writer.hpp"
#include "http/serve/shard.hpp"

namespace signalbox::http {

class request_share;

// The client of a validated inference request, as the route hands it over.
struct inference_client {
  restinio::request_handle_t handle;
  connection_key connection = 0;
  std::string_view route;  // its pattern, for the log
  std::shared_ptr<request_share> share;
  boost::asio::ip::tcp::endpoint from;  // as in routed_request
};

class client_answer final : public call_listener {
 public:
  client_answer(shard& home, inference_client client, call_request&& request);

  upstream_call& call() { return call_; }
  void tick(time_point now);  // deadlines and comments; a few times a second
  void probe();               // sends a comment if the stream has begun

 private:
  void call_placed(std::uint32_t position, double eta_s) override;
  void call_stream_began() override;
  tunnel_end_ptr call_switched(std::string& head) override;
  void call_turn_ended() override;
  int call_completed() override;
  void call_failed(error_code code, std::string_view message, double retry_after_s) override;
  void call_ended(const call_result& result) override;

  bool has_comments() const;
  bool lacks_route();
  int answer_loaded();
  std::string own_fields() const;
  void start_stream();
  std::string_view length_told() const;
  void take_events();
  void write_comment(std::string_view comment);
  void write_stream();
  void stream_written(bool failed);
  void end_stream(std::string last);
  void write_log(const call_result& result) const;

  shard& home_;
  inference_client client_;
  upstream_call call_;
  time_point last_comment_{};
  std::optional<response_writer> stream_;
  bool is_tunnel_ = false, is_broken_off_ = false;
  std::string unsent_;             // of the stream: for the next write
  std::size_t writing_bytes_ = 0;  // of the stream: not yet taken by the kernel
};

}  // namespace signalbox::http
