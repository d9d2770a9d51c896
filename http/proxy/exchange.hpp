// One inference request, from its admission to its end: waits for a permit, sends the request to
// the runtime, passes the answer on, counts its tokens. Lives on its shard's thread.
//
//   start ─permit─▶ sending ─head─▶ relaying (stream) ─▶ ending ─▶ finish
//     │ none            │            collecting (else) ─▶ ending ─▶ finish
//     └▶ waiting ─permit┘
//         (a stream that waits past the grace is answered 200 and hears comments)
//
// What goes out, to the runtime or to the client, goes out at the end of a turn of the loop. Every
// path ends in finish(), once: it settles the permit, counts, and leaves the shard.
#pragma once

#include <memory>
#include <optional>
#include <restinio/request_handler.hpp>
#include <string>
#include <vector>

#include "access/authentication.hpp"
#include "http/proxy/admission_gate.hpp"
#include "http/proxy/request_body.hpp"
#include "http/proxy/sse.hpp"
#include "http/proxy/upstream.hpp"
#include "http/serve/error.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/shard.hpp"

namespace signalbox::http {

// A validated inference request, as the route hands it over.
struct inference_request {
  restinio::request_handle_t client;
  connection_key connection = 0;
  metric_route route = metric_route::other;
  bool estimate_from_length = false;  // as in route_traits
  std::string_view path;              // the route's
  principal_ptr who;
  served_model_ptr model;  // with its options at the arrival of the request
  work_class work = work_class::realtime;
  priority level = priority::normal;
  std::optional<double> max_wait_s;  // X-Max-Wait-Seconds
  std::string request_id;
  std::string_view client_id;     // views into `client`; empty: none came
  std::string forwarded_headers;  // lines ending in CRLF
  request_facts facts;
  scheduling::token_charge charge;  // by limit_account::begin_inference
};

class exchange final : public ticket_holder,
                       public upstream_sink,
                       public std::enable_shared_from_this<exchange> {
 public:
  exchange(shard& home, inference_request request);

  void start();
  void tick(time_point now);        // deadlines and comments; a few times a second
  void turn_ended(time_point now);  // asked for with shard::at_turn_end
  void client_gone();
  void cut_off();  // the gateway ends and its grace is over

 private:
  // parked: waits for the next tick, to wait for a permit again.
  // ending: the answer is complete and goes out at the end of the turn.
  enum class phase : std::uint8_t { waiting, sending, collecting, relaying, parked, ending, done };

  void ticket_granted(permit p) override;
  void ticket_refused(const signalbox::ticket_refused& why) override;
  void ticket_placed(std::uint32_t position, double eta_s) override;
  void upstream_headers(upstream_head& head) override;
  void upstream_body(std::string_view bytes) override;
  void upstream_ended(upstream_end how) override;

  void ask_turn_end();
  void wait_for_permit();
  void begin_sending(permit p, time_point at);
  void send_upstream(bool fresh, time_point now);
  void park(outcome how);
  bool may_park() const;
  void build_upstream_head();
  void start_stream();
  void write_stream();
  void stream_written(bool failed);
  void hold_back();
  void complete();
  void answer_client();
  std::string answer_as_event();
  void fail(error_code code, std::string_view message, outcome how, double retry_after_s = 0);
  void finish(outcome how, int status);
  usage_counts usage_of(outcome how, int status, time_point end) const;
  void write_log(outcome how, int status, const usage_counts& usage, time_point end) const;
  admission_request admission() const;
  void drop_upstream();
  const config::model_options& options() const;
  std::string own_fields() const;

  shard& home_;
  inference_request request_;
  phase phase_ = phase::waiting;
  time_point arrived_at_, deadline_ = never, last_comment_{}, permitted_at_{}, sent_at_{};
  duration held_{};       // with a permit
  ticket_id ticket_ = 0;  // 0: none
  permit permit_;
  upstream_connection_ptr upstream_;
  std::string upstream_head_;
  std::vector<body_edit> edits_;
  upstream_head head_;
  std::string body_;  // of an answer that is no stream
  sse_filter events_;
  std::optional<restinio::response_builder_t<restinio::chunked_output_t>> stream_;
  std::string unsent_;              // of the stream: for the next write
  std::size_t writing_bytes_ = 0;   // of the stream: not yet taken by the kernel
  std::uint64_t whole_tokens_ = 0;  // of an answer that is no stream: a guess
  std::uint8_t retries_ = 0;
  bool turn_end_asked_ = false;
  bool delivered_ = false;  // a runtime may have seen it
  bool first_byte_seen_ = false;
};

}  // namespace signalbox::http
