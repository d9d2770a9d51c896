// A shard with its clients: the production admission_gate, and requests that hold real permits. The
// rest is a model of http/serve/shard.cpp (receive, send, tick) and http/proxy/upstream_call.cpp (a
// request from its admission to its end), without their bytes.
//
// A shard is a thread of the process: it never dies alone. Its clients can be gone all at once.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "http/proxy/admission_gate.hpp"
#include "tests/simulation/actor.hpp"
#include "tests/simulation/messages.hpp"
#include "tests/simulation/shard_rules.hpp"

namespace signalbox::simulation {

class gateway;
class shard;

// One request of a client. Its place is used again, with a new serial.
struct request final : http::ticket_holder {
  enum class phase : std::uint8_t { ended, waiting, in_flight, parked };

  void ticket_granted(http::permit p) override;
  void ticket_refused(const signalbox::ticket_refused& why) override;
  void ticket_placed(std::uint32_t position, double eta_s) override;

  shard* home = nullptr;
  phase now_in = phase::ended;
  http::admission_request what{};
  std::uint64_t serial = 0;  // of its present phase: what was planned for an earlier one is void
  std::size_t place = 0;     // among the shard's living requests
  time_point give_up_at{};
  ticket_id ticket = 0;
  http::permit permit;
  std::uint32_t charged_by = 0;  // life of the queue that was told of it
  std::uint64_t prompt = 0, completion = 0;
  bool may_be_resent = false;
  bool is_delivered = false;  // its runtime works on it
};

class shard {
 public:
  shard(gateway& g, shard_id id);
  shard(const shard&) = delete;

  shard_ref ref() { return {actor_, this}; }
  void client_arrives(model_index m, work_class work, priority level, std::uint32_t principal);
  void on(const std::vector<shard_event>& events);
  void runtime_gone(backend_id backend, std::uint64_t incarnation);  // connections to it break
  void clients_gone();                                               // all of them

  bool is_idle() const { return living_.empty(); }
  std::size_t living() const { return living_.size(); }
  // It has heard all that was sent to it, and has said all that it has to say.
  bool is_quiet() const { return planned_flushes_ == 0 && unread_.empty(); }
  const shard_rules& rules() const { return rules_; }
  const http::admission_gate& gate() const { return *gate_; }

 private:
  friend struct request;

  request& new_request();
  void end(request& r);
  std::uint64_t next_serial(request& r) { return r.serial = ++last_serial_; }
  // Calls `what(r)` then, if it is in the same phase still.
  void plan(request& r, duration delay, void (shard::*what)(request&));
  void plan_tick();
  void tick();
  void schedule_flush();
  void send(model_index m, shard_batch batch);
  void read();
  void receive(const shard_event& event);

  void wait(request& r);
  void begin_waiting(request& r);
  void ask_place(request& r);
  void client_leaves(request& r);
  void queue_is_silent(request& r);
  void begin_sending(request& r, http::permit p);
  void send_upstream(request& r, http::permit p);
  void leave_upstream(request& r, const backend_endpoint& from);
  void answered(request& r);
  void deadline_passed(request& r);
  void connection_refused(request& r);
  void go_back(request& r);
  void connection_lost(request& r);
  void settle(request& r, http::outcome how, bool is_used);
  void preempt(model_index m, work_class work);
  void wait_again(request& r);

  gateway& g_;
  const shard_id id_;
  const actor_id actor_;
  std::unique_ptr<http::admission_gate> gate_;
  std::deque<request> requests_;  // after the gate, to which their permits go back
  std::vector<request*> unused_;
  std::vector<request*> living_;
  std::uint64_t last_serial_ = 0;
  shard_rules rules_;
  std::vector<shard_event> unread_;
  bool tick_planned_ = false;
  std::uint32_t planned_flushes_ = 0;
};

}  // namespace signalbox::simulation
