// One request to a runtime, from its admission to its end: waits for a permit, sends the request,
// reads the answer, counts its tokens and settles. It knows no client: its listener gets the
// answer. Lives on its shard's thread.
//
//   start ─permit─▶ sending ─head─▶ relaying (a stream) ─▶ ending ─▶ done
//     │ none            │           collecting (else) ───▶ ending ─▶ done
//     └▶ waiting ─permit┘
//
//   sending ─101─▶ tunnelling, until one of both closes ─▶ done
//   sending ─connection refused─▶ parked ─tick─▶ waiting, where it stood
//   sending, collecting ─preempt─▶ waiting, likewise
//
// The request goes out, and the listener hears of the answer, at the end of a turn of the loop.
// Every path ends in finish(), once: it settles the permit, counts, and tells the listener.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/authentication.hpp"
#include "actors/model_table.hpp"
#include "http/proxy/admission_gate.hpp"
#include "http/proxy/request_body.hpp"
#include "http/proxy/sse.hpp"
#include "http/proxy/tunnel.hpp"
#include "http/proxy/upstream_pool.hpp"
#include "http/serve/dialect.hpp"
#include "http/serve/error.hpp"
#include "http/serve/identity.hpp"
#include "scheduling/day_clock.hpp"

namespace signalbox::http {

class upstream_call;

// A request to one model, valid and within the limits of its key.
struct call_request {
  std::string_view method = "POST";
  std::string_view path;              // at the runtime, with its query
  std::string_view body;              // empty: none
  std::string_view client_id;         // empty: none came
  std::string_view upgrade;           // the protocol to change to, if the runtime does; empty: none
  std::shared_ptr<const void> owner;  // keeps what the views here refer to
  std::string forwarded_headers;      // lines ending in CRLF
  std::string request_id;
  served_model_ptr model;  // as it was when the request came
  work_class work = work_class::realtime;
  priority level = priority::normal;
  std::optional<double> max_wait_s;  // for a permit, at most; none: as long as the model allows
  principal_ptr who;
  credential shown;                // by whoever asks; refers to what `owner` keeps
  scope needed = scope::realtime;  // of `who`
  std::string plain_path;          // below /upstream: for may_ask(); else empty
  metric_route route = metric_route::other;
  http::dialect dialect = http::dialect::openai;
  bool estimate_from_length = false;  // as in route_traits
  bool only_loads = false;  // nothing is sent: with its permit it is complete, with an empty answer
  bool is_raw = false;      // a 404 is passed on, whatever it says
  // Whether the answer is read, and believed when it tells usage; else that is estimated from
  // lengths, and what comes passes as it comes.
  bool reads_usage = true;
  std::size_t max_answer_bytes = 0;  // of an answer that is read and no stream
  request_facts facts;               // of the body
  scheduling::token_charge charge;   // by limit_account::begin_inference
};

// How a call ended.
struct call_result {
  outcome how = outcome::failed;
  int status = 0;  // the runtime's, or that of our error; 499 when the call was cancelled
  duration took{};
  duration queued{};  // of `took`: without a permit
  usage_counts usage;
};

// Gets the answer of one call: the client's side of a request, or a job. It owns the call, so that
// a reference to it keeps both alive. The call calls it in the order of these methods; from within
// them the listener may call the call, cancel() included, but not start(), tick() or turn_ended().
class call_listener : public std::enable_shared_from_this<call_listener> {
 public:
  // The call waits, and was asked for its place with ask_place().
  virtual void call_placed(std::uint32_t position, double eta_s) = 0;
  // head() is that of a stream, of events or of bytes. From now on the call cannot be preempted.
  virtual void call_stream_began() = 0;
  // The runtime changes to the protocol that was asked for. Returns the client's end of a tunnel,
  // and in `head` what it has to hear first. Then comes call_ended().
  virtual tunnel_end_ptr call_switched(std::string& head) = 0;
  // The turn has ended, and events were added to text() in it, or ask_turn_end() was called.
  virtual void call_turn_ended() = 0;
  // The answer is complete: head() and text() have all that was not taken before. Returns the
  // status of what the listener made of it, by which the request is counted. Then comes
  // call_ended(), and never call_failed().
  virtual int call_completed() = 0;
  // There is no answer, or no more of it: text() has the events that were not taken before.
  // `retry_after_s` is 0 when nothing is known. Then comes call_ended().
  // Behind a stream of bytes nothing can be said: it can only be broken off.
  virtual void call_failed(error_code code, std::string_view message, double retry_after_s) = 0;
  // Once, after all others: the permit is settled and the usage counted. A call that was cancelled
  // tells this only. The listener may drop the last reference to itself.
  virtual void call_ended(const call_result& result) = 0;

 protected:
  ~call_listener() = default;
};

// The shard, as its calls need it.
class call_home {
 public:
  virtual time_point now() const = 0;
  virtual const scheduling::counted_day& today() = 0;  // by which limits and usage count
  virtual admission_gate& gate() = 0;
  virtual upstream_pool& pool() = 0;
  // Whether the credential of this request would still let it in: it was not revoked, did not
  // expire, and still has the scope and the model.
  virtual bool may_go_on(const call_request& request) = 0;
  // Calls turn_ended() once everything that is ready in this turn of the loop was handled: what a
  // turn sends goes out in one burst, so that a receiver is woken once and not for each.
  virtual void at_turn_end(std::shared_ptr<upstream_call> call) = 0;
  // Counts an ended request for the ledger.
  virtual void account(const principal_ptr& who, const served_model_ptr& model, usage_source source,
                       std::string_view client_id, usage_counts counts) = 0;

 protected:
  ~call_home() = default;
};

class upstream_call final : public ticket_holder, public upstream_sink {
 public:
  upstream_call(call_home& home, call_request request, call_listener& listener);

  void start();               // once, when a shared_ptr owns the listener
  void tick(time_point now);  // deadlines; a few times a second
  void turn_ended(time_point now);
  // Nobody wants the answer any longer. Has no effect once the listener hears of the end.
  void cancel();
  void cut_off();  // the gateway ends and its grace is over; fails the call
  // Makes room for other work: gives up the permit, cancels at the runtime and waits anew, at the
  // old place. It counts as no attempt, and the time until now not as a wait. Returns false, and
  // does nothing, without a permit or once the answer is a stream or complete.
  bool preempt();

  // Asks for call_placed(). Has no effect unless the call waits.
  void ask_place();
  // Asks for call_turn_ended() of this turn, while the call waits or relays a stream.
  void ask_turn_end();
  // Back-pressure: reads no more of the answer until resume().
  void pause();
  void resume();

  bool is_waiting() const { return phase_ == phase::waiting; }
  // It will send its request at the end of this turn.
  bool is_about_to_send() const { return phase_ == phase::sending && !upstream_; }
  bool is_stream() const { return is_stream_; }  // the answer; false before its head came
  // Whether it is a stream of bytes that nobody reads: they pass as they came.
  bool passes_bytes() const { return passes_bytes_; }
  // Whether nothing of an answer has come that its client could read.
  bool is_silent() const { return !events_.saw_event() && phase_ < phase::tunnelling; }
  // Whether text() ended within an event, behind which no other can stand.
  bool is_cut() const { return events_.is_cut(); }
  const call_request& request() const { return request_; }
  const upstream_head& head() const { return head_; }
  // The answer as far as it was read; a stream by whole events, which the listener may take from
  // it.
  std::string& text() { return text_; }
  time_point arrived_at() const { return arrived_at_; }
  // The time it has waited for permits so far, without the time of permits that it gave up.
  duration queue_wait(time_point now) const;

 private:
  // parked: waits with its permit for the next tick, to wait for another one then.
  // tunnelling: client and runtime speak another protocol; there is no deadline but for silence.
  // ending: the answer is complete; the listener is told at the end of the turn.
  // done: the listener hears of the end, or has heard.
  enum class phase : std::uint8_t {
    waiting,
    parked,
    sending,
    collecting,
    relaying,
    tunnelling,
    ending,
    done
  };

  void ticket_granted(permit p) override;
  void ticket_refused(const signalbox::ticket_refused& why) override;
  void ticket_placed(std::uint32_t position, double eta_s) override;
  void upstream_headers(upstream_head& head) override;
  void upstream_body(std::string_view bytes) override;
  void upstream_switched(std::string_view rest) override;
  void upstream_ended(upstream_end how) override;
  std::shared_ptr<const void> give_up_text() override;

  admission_request admission() const;
  time_point begin_waiting();
  void wait_for_permit();
  void begin_sending(permit p, time_point at);
  void send(bool fresh, time_point now);
  void build_head();
  void park();
  void wait_again(time_point at);
  void end_run(time_point at);
  void drop_upstream();
  void drop_tunnel();
  void tick_tunnel(time_point at);
  bool is_still_allowed(time_point at);
  void tunnel_ended(tunnel::cause how);
  time_point answer_deadline(time_point now, double gap_s) const;
  bool is_whole(upstream_end how) const;
  void begin_ending();
  bool ask_without_usage();
  void broken(upstream_end how);
  void read_whole_answer();
  void hand_over();
  void fail(error_code code, std::string_view message, outcome how, double retry_after_s = 0);
  void finish(outcome how, int status);
  void settle(outcome how, const usage_counts& usage, time_point end);
  void end_charge(const usage_counts& usage, time_point end);
  void charge_answer();
  bool charge_bytes(std::uint64_t all, time_point at);
  usage_counts usage_of(outcome how, int status, time_point end) const;
  void add_tokens(outcome how, usage_counts& counts) const;
  void estimate_tokens(usage_counts& counts) const;
  const config::model_options& options() const { return request_.model->options; }

  call_home& home_;
  call_request request_;
  call_listener& listener_;
  phase phase_ = phase::waiting;
  time_point arrived_at_, deadline_ = never, permitted_at_{};
  time_point sent_at_{};  // to the runtime that has it, or had it last; zero: none has
  duration held_{};       // with a permit
  duration preempted_{};  // the part of held_ with permits that were given up
  ticket_id ticket_ = 0;  // 0: none
  permit permit_;
  upstream_connection_ptr upstream_;
  std::shared_ptr<tunnel> tunnel_;
  std::uint64_t tunnel_bytes_ = 0, heard_bytes_ = 0;  // at the last tick: both ways; the runtime's
  time_point next_key_check_{}, close_by_ = never;    // of a tunnel
  std::string upstream_head_;                         // of the request
  std::vector<body_edit> edits_;
  upstream_head head_;
  std::string text_;
  sse_filter events_;
  std::uint64_t whole_tokens_ = 0;  // of an answer that is no stream: a guess
  std::uint64_t answer_bytes_ = 0;  // of its body
  bool turn_end_asked_ = false;
  bool had_permit_ = false;
  bool delivered_ = false;  // a runtime may have seen it, and failed
  bool is_stream_ = false, passes_bytes_ = false;
  bool asks_for_usage_ = false;  // in the client's place
  bool is_asked_again_ = false;  // without that
  bool charge_ended_ = false;
  double charged_tokens_ = 0;  // by charge_bytes()
};

}  // namespace signalbox::http
