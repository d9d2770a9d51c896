// The shard's side of admission: credits, permits and tickets of every model. The queue's side, and
// the account of units, is scheduling/admission.hpp.
//
//   take ──credit──▶ permit ──settle──▶ credit again (stocked), or returned to the queue
//     └─ none ─▶ ticket ─▶ model_queue ─▶ permit_granted / ticket_refused
//
// What has to be told to a queue is collected for one turn of the loop and sent as one shard_batch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "actors/messages.hpp"
#include "scheduling/routing.hpp"

namespace signalbox::http {

enum class outcome : std::uint8_t { completed, failed, cancelled, timed_out };
std::string_view to_string(outcome value);

class admission_gate;

// A request as admission sees it: how urgent, for whom, and how long its prompt seems to be.
struct admission_request {
  model_index model = 0;
  work_class work = work_class::realtime;
  priority level = priority::normal;
  std::uint32_t principal = 0;  // as in scheduling::ticket
  double weight = 1;
  double prompt_tokens = 0;  // estimated
};

// The right to send one request. Ends exactly once: by settle(), or as cancelled when dropped. What
// was used by then (nothing, when nobody says) is what its principal was served.
class permit {
 public:
  permit() = default;
  permit(permit&& other) noexcept;
  permit& operator=(permit&& other) noexcept;
  ~permit() { settle(outcome::cancelled); }

  explicit operator bool() const { return gate_ != nullptr; }
  const endpoint_ptr& endpoint() const { return endpoint_; }
  void used(std::uint64_t prompt_tokens, std::uint64_t completion_tokens);
  void settle(outcome how);  // now
  void settle(outcome how, time_point now);

 private:
  friend class admission_gate;
  permit(admission_gate& gate, model_index model, endpoint_ptr endpoint,
         const scheduling::service_charge& charge, time_point now);

  // What is known of it, to be settled.
  struct account {
    model_index model = 0;
    backend_id backend = 0;
    std::uint32_t queue_life = 0;  // of the queue that charged it
    time_point granted_at{};
    scheduling::service_charge charge;
    double prompt_tokens = 0, completion_tokens = 0;
  };

  admission_gate* gate_ = nullptr;
  endpoint_ptr endpoint_;
  account account_;
};

// A request that waits. Exactly one of granted and refused is called, unless it left before.
class ticket_holder {
 public:
  virtual void ticket_granted(permit p) = 0;
  virtual void ticket_refused(const signalbox::ticket_refused& why) = 0;
  virtual void ticket_placed(std::uint32_t position, double eta_s) = 0;

 protected:
  ~ticket_holder() = default;
};

class admission_gate {
 public:
  using send_batch = std::function<void(model_index, shard_batch)>;
  using clock = std::function<time_point()>;
  // Asks the requests of this class that hold a permit to wait_again().
  using preempt_requests = std::function<void(model_index, work_class)>;
  // `schedule_flush` is called when something urgent waits to be sent, once until flush(); it
  // should call flush() at the end of this turn of the loop.
  admission_gate(shard_id shard, const scheduling::token_weights& weights, send_batch send,
                 std::function<void()> schedule_flush, clock now, preempt_requests preempt = {});

  // A permit by credit, when there is one and nobody of this shard waits; else none.
  std::optional<permit> take(const admission_request& request, time_point now);
  // Waits in the queue. `holder` must outlive the ticket or leave().
  ticket_id wait(const admission_request& request, time_point deadline, ticket_holder& holder);
  // Gives up the permit of a request that was cancelled at its backend to make room, and waits for
  // another one, where its ticket stood before. It counts as no attempt.
  ticket_id wait_again(permit given_up, const admission_request& request, time_point deadline,
                       ticket_holder& holder);
  void leave(model_index model, ticket_id ticket);
  void ask_place(model_index model, ticket_id ticket);

  void handle(const shard_event& event);
  void flush();          // everything urgent
  void flush_reports();  // and what is not: counts; call it a few times a second
  std::uint32_t in_use(model_index model) const;
  std::size_t waiting() const;
  // The shard's introduction of itself to a queue that knows nothing of it (again): the units that
  // it has in use.
  std::vector<scheduling::backend_units> reintroduce(model_index model);

 private:
  friend class permit;

  struct waiter {
    ticket_holder* holder;
    scheduling::ticket ticket;
  };
  // What this shard has of one backend.
  struct backend_side {
    backend_id id = 0;
    std::uint32_t credits = 0;
    class_counts in_use{};
    bool stocked = false;                   // units that end are kept as credits
    bool is_told = true;                    // in_use is what the last batch said
    endpoint_ptr endpoint{};                // of the credits
    std::uint32_t returned = 0, ended = 0;  // since the last batch

    bool is_of_no_use() const {
      return credits == 0 && !stocked && is_told && returned == 0 && total(in_use) == 0;
    }
  };
  struct model_side {
    std::vector<backend_side> backends;
    std::unordered_map<ticket_id, waiter> waiting;
    shard_batch batch;
    std::uint32_t queue_life = 0;  // counts the queue's restarts
    double mean_completion = 0;    // tokens of an answer; EWMA
    bool urgent = false;           // batch has something that somebody waits for
    bool dirty = false;            // something changed since the last batch

    backend_side& of(backend_id id);
  };

  model_side& side_of(model_index model);
  const model_side* find(model_index model) const;
  double estimate(const admission_request& request, const model_side& side) const;
  scheduling::principal_service& service_of(model_side& side,
                                            const scheduling::service_charge& charge);
  scheduling::ticket ticket_for(const admission_request& request, time_point deadline);
  ticket_id submit(const scheduling::ticket& ticket, model_side& side, ticket_holder& holder);
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
  std::vector<std::unique_ptr<model_side>> models_;  // by index; null: not asked for, or gone
  std::uint64_t next_ticket_ = 1;
  bool flush_scheduled_ = false;
};

}  // namespace signalbox::http
