// The shard's side of admission: credits, permits and tickets of every model. The queue's side,
// with the account of units, is scheduling/admission.hpp.
//
//   take ──credit──▶ permit ──settle──▶ credit again (stocked), or returned to the queue
//     └─ none ─▶ ticket ─▶ model_queue ─▶ permit_granted / ticket_refused
//
// Messages to a queue are collected for one turn of the loop and sent as one shard_batch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/messages.hpp"
#include "scheduling/routing.hpp"

namespace signalbox::http {

// How a request with a permit ended.
enum class outcome : std::uint8_t { completed, failed, cancelled, timed_out };
std::string_view to_string(outcome value);

class admission_gate;

// The facts of a request that admission needs: its urgency, its principal and its prompt's length.
struct admission_request {
  model_index model = 0;
  work_class work = work_class::realtime;
  priority level = priority::normal;
  std::uint32_t principal = 0;  // as in scheduling::ticket
  double weight = 1;
  double prompt_tokens = 0;  // estimated
  bool is_patient = false;   // as in scheduling::ticket
};

// The right to send one request. It ends exactly once: by settle(), or as cancelled when it is
// dropped. The tokens given to used() by then, none by default, count as its principal's service.
class permit {
 public:
  permit() = default;
  permit(permit&& other) noexcept;
  permit& operator=(permit&& other) noexcept;
  ~permit() { settle(outcome::cancelled); }

  explicit operator bool() const { return gate_ != nullptr; }
  const endpoint_ptr& endpoint() const { return endpoint_; }
  void used(std::uint64_t prompt_tokens, std::uint64_t completion_tokens);
  // What the request noticed of its runtime: bytes of an answer came, or it cannot be reached. That
  // a deadline passed is noticed by settle().
  void heard();
  void refused();
  // What this one took is no estimate for others.
  void is_unlike_others() { account_.is_unlike_others = true; }
  void settle(outcome how);  // now
  void settle(outcome how, time_point now);

 private:
  friend class admission_gate;
  // The facts that settling needs.
  struct account {
    model_index model = 0;
    backend_id backend = 0;
    std::uint32_t queue_life = 0;  // the model's queue_life when it was charged
    time_point granted_at{};
    scheduling::service_charge charge;
    scheduling::queue_place place;  // by credit: its time, and number 0
    double prompt_tokens = 0, completion_tokens = 0;
    std::uint64_t run = 0;  // of the backend
    bool heard = false;     // a byte of the answer
    bool is_unlike_others = false;
  };
  permit(admission_gate& gate, endpoint_ptr endpoint, const account& begun)
      : gate_(&gate), endpoint_(std::move(endpoint)), account_(begun) {
    account_.run = endpoint_->incarnation;
  }

  admission_gate* gate_ = nullptr;
  endpoint_ptr endpoint_;
  account account_;
};

// A waiting request. Exactly one of ticket_granted() and ticket_refused() is called, unless the
// request left before.
class ticket_holder {
 public:
  virtual void ticket_granted(permit p) = 0;
  virtual void ticket_refused(const signalbox::ticket_refused& why) = 0;
  virtual void ticket_placed(std::uint32_t position, double eta_s) = 0;

 protected:
  ~ticket_holder() = default;
};

// A shard's side of admission: it takes permits from credits, or waits with tickets at the queues.
// Each shard has one, used on its thread only.
class admission_gate {
 public:
  using send_batch = std::function<void(model_index, shard_batch)>;
  using clock = std::function<time_point()>;
  // Makes the requests of this class that hold a permit call wait_again().
  using preempt_requests = std::function<void(model_index, work_class)>;
  // `schedule_flush` is called when an urgent message waits to be sent, once until flush(). It
  // should call flush() at the end of this turn of the loop.
  admission_gate(shard_id shard, const scheduling::token_weights& weights, send_batch send,
                 std::function<void()> schedule_flush, clock now, preempt_requests preempt = {});

  // Returns a permit by credit, if there is a credit and no request of this shard waits.
  std::optional<permit> take(const admission_request& request, time_point now);
  // Submits a ticket to the queue. `holder` must live until the ticket ends or leave() is called.
  ticket_id wait(const admission_request& request, time_point deadline, ticket_holder& holder);
  // Gives up the permit of a request that was cancelled at its backend to make room, or could not
  // be sent, and submits a ticket for it that stands where its ticket stood before. A permit by
  // credit had no ticket: the new one stands behind those that had come when the permit was taken.
  // A queue that was restarted meanwhile knows no such place, and the ticket stands at the end. It
  // does not count as an attempt.
  ticket_id wait_again(permit given_up, const admission_request& request, time_point deadline,
                       ticket_holder& holder);
  void leave(model_index model, ticket_id ticket);
  void ask_place(model_index model, ticket_id ticket);
  // Tells the model's backends that its clients want them loaded without work for so long: see
  // scheduling/model_lifecycle.hpp. It goes out with the next report, and the last one counts.
  void keep_loaded(model_index model, duration idle) {
    auto& side = side_of(model);
    side.batch.keep_loaded = idle;
    side.dirty = true;
  }

  void handle(const shard_event& event);
  void flush();          // sends urgent messages
  void flush_reports();  // sends counts too; call it a few times a second
  std::uint32_t in_use(model_index model) const;
  std::size_t waiting() const;
  // Returns the tokens of a usual answer, by the model's last ones.
  std::uint64_t mean_completion(model_index model) const;
  // Resets the account with a queue that was started anew, and returns the units in use, with which
  // the shard introduces itself.
  std::vector<scheduling::backend_units> reintroduce(model_index model);

 private:
  friend class permit;

  struct waiter {
    ticket_holder* holder;
    scheduling::ticket ticket;
  };
  // This shard's units of one backend.
  struct backend_side {
    backend_id id = 0;
    std::uint32_t credits = 0;
    class_counts in_use{};
    bool stocked = false;                   // units whose request ends are kept as credits
    bool is_told = true;                    // the last batch reported this in_use
    endpoint_ptr endpoint{};                // of the credits
    std::uint32_t returned = 0, ended = 0;  // since the last batch, as are the signs
    scheduling::runtime_signs signs{};

    bool has_news() const { return !is_told || returned > 0 || ended > 0 || signs.run > 0; }
    bool is_of_no_use() const {
      return credits == 0 && !stocked && is_told && returned == 0 && total(in_use) == 0;
    }
  };
  struct model_side {
    std::vector<backend_side> backends;
    std::unordered_map<ticket_id, waiter> waiting;
    shard_batch batch;
    std::uint32_t queue_life = 0;  // counts the queue's restarts
    double mean_completion = 0;    // completion tokens of an answer, EWMA
    bool urgent = false;           // somebody waits for a message in `batch`
    bool dirty = false;            // there are changes since the last batch

    backend_side& of(backend_id id);
  };

  model_side& side_of(model_index model);
  const model_side* find(model_index model) const;
  double estimate(const admission_request& request, const model_side& side) const;
  scheduling::principal_service& service_of(model_side& side,
                                            const scheduling::service_charge& charge);
  scheduling::ticket ticket_for(const admission_request& request, time_point deadline);
  ticket_id submit(const scheduling::ticket& ticket, model_side& side, ticket_holder& holder);
  scheduling::runtime_signs* signs_of(const permit::account& account);
  void ended(const permit::account& account, outcome how, time_point now);
  void release(model_side& side, const permit::account& account, bool keep);
  void give_back(model_side& side, backend_side& backend, std::uint32_t units);
  void give_back_credits(model_side& side);
  void mark_urgent(model_side& side);
  void send(model_index model);
  void on(const permit_granted& event);
  void on(const ticket_refused& event);
  void on(const credits_given& event);
  void on(const credits_recalled& event);
  void on(const ticket_placed& event);
  void on(const class_preempted& event);
  void on(const queue_restarted& event);
  void on(const model_gone& event);

  shard_id shard_;
  scheduling::token_weights weights_;
  send_batch send_;
  std::function<void()> schedule_flush_;
  clock now_;
  preempt_requests preempt_;
  std::vector<std::unique_ptr<model_side>> models_;  // by index; null: no request yet, or gone
  std::uint64_t next_ticket_ = 1;
  bool flush_scheduled_ = false;
};

}  // namespace signalbox::http
