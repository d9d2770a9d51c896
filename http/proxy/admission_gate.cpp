#include "http/proxy/admission_gate.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <tuple>
#include <utility>

namespace signalbox::http {

namespace {

// A client that leaves after so long without a byte is a reason to look after the runtime.
constexpr auto unheard_for_long = std::chrono::seconds(5);

constexpr double kept_by_ewma = 0.9;  // weight of the past after one more answer

// By outcome.
constexpr std::array counted_as{
    &scheduling::settled_counts::completed, &scheduling::settled_counts::failed,
    &scheduling::settled_counts::cancelled, &scheduling::settled_counts::timed_out};

// Merges the entries to one for each principal and class.
void merge(std::vector<scheduling::principal_service>& served) {
  if (served.size() < 2) return;
  std::sort(served.begin(), served.end(), [](const auto& a, const auto& b) {
    return std::tie(a.principal, a.work) < std::tie(b.principal, b.work);
  });
  auto last = served.begin();
  for (auto next = last + 1; next != served.end(); ++next) {
    if (next->principal != last->principal || next->work != last->work) {
      *++last = *next;
      continue;
    }
    last->begun += next->begun;
    last->charged += next->charged;
    last->ended += next->ended;
    last->corrected += next->corrected;
  }
  served.erase(last + 1, served.end());
}

}  // namespace

admission_gate::admission_gate(shard_id shard, const scheduling::token_weights& weights,
                               send_batch send, std::function<void()> schedule_flush, clock now,
                               preempt_requests preempt)
    : shard_(shard),
      weights_(weights),
      send_(std::move(send)),
      schedule_flush_(std::move(schedule_flush)),
      now_(std::move(now)),
      preempt_(std::move(preempt)) {}

admission_gate::model_side& admission_gate::side_of(model_index model) {
  if (model >= models_.size()) models_.resize(model + std::size_t{1});
  auto& side = models_[model];
  if (!side) {
    side = std::make_unique<model_side>();
    side->batch.shard = shard_;
  }
  return *side;
}

const admission_gate::model_side* admission_gate::find(model_index model) const {
  return model < models_.size() ? models_[model].get() : nullptr;
}

admission_gate::backend_side& admission_gate::model_side::of(backend_id id) {
  for (auto& backend : backends) {
    if (backend.id == id) return backend;
  }
  backends.push_back({.id = id});
  return backends.back();
}

// Estimates the cost while the usage is not known, from the prompt's estimate and the mean answer.
double admission_gate::estimate(const admission_request& request, const model_side& side) const {
  return weights_.cost(request.prompt_tokens, side.mean_completion);
}

std::optional<permit> admission_gate::take(const admission_request& request, time_point now) {
  auto& side = side_of(request.model);
  if (!side.waiting.empty()) return std::nullopt;
  auto* backend = scheduling::choose_backend(
      side.backends, [](const backend_side& b) -> std::optional<scheduling::backend_load> {
        if (b.credits == 0) return std::nullopt;
        const auto in_use = total(b.in_use);
        return scheduling::backend_load{in_use, in_use + b.credits};
      });
  if (backend == nullptr) return std::nullopt;
  --backend->credits;
  ++backend->in_use[index_of(request.work)];
  backend->is_told = false;
  side.dirty = true;
  const scheduling::service_charge charge{request.principal, request.work, request.weight,
                                          estimate(request, side)};
  auto& service = service_of(side, charge);
  ++service.begun;
  service.charged += charge.cost;
  return permit(*this, backend->endpoint,
                {request.model, backend->id, side.queue_life, now, charge, {now}});
}

scheduling::ticket admission_gate::ticket_for(const admission_request& request,
                                              time_point deadline) {
  scheduling::ticket ticket;
  ticket.id = (static_cast<ticket_id>(shard_) << 48) | next_ticket_++;
  ticket.shard = shard_;
  ticket.work = request.work;
  ticket.level = request.level;
  ticket.deadline = deadline;
  ticket.is_patient = request.is_patient;
  ticket.principal = request.principal;
  ticket.weight = request.weight;
  ticket.estimate = estimate(request, side_of(request.model));
  return ticket;
}

ticket_id admission_gate::submit(const scheduling::ticket& ticket, model_side& side,
                                 ticket_holder& holder) {
  side.waiting.emplace(ticket.id, waiter{&holder, ticket});
  side.batch.tickets.push_back(ticket);
  give_back_credits(side);
  mark_urgent(side);
  return ticket.id;
}

ticket_id admission_gate::wait(const admission_request& request, time_point deadline,
                               ticket_holder& holder) {
  return submit(ticket_for(request, deadline), side_of(request.model), holder);
}

ticket_id admission_gate::wait_again(permit given_up, const admission_request& request,
                                     time_point deadline, ticket_holder& holder) {
  assert(given_up.gate_ == this);
  auto& side = side_of(request.model);
  const auto account = std::exchange(given_up.account_, {});
  given_up.gate_ = nullptr;
  auto ticket = ticket_for(request, deadline);
  if (account.queue_life == side.queue_life) {
    // The whole charge is taken back, because the principal was not served.
    auto& service = service_of(side, account.charge);
    ++service.ended;
    service.corrected -= account.charge.cost;
    ticket.place = account.place;
  }
  release(side, account, false);
  return submit(ticket, side, holder);
}

void admission_gate::leave(model_index model, ticket_id ticket) {
  auto& side = side_of(model);
  if (side.waiting.erase(ticket) == 0) return;
  side.batch.cancelled.push_back(ticket);
  mark_urgent(side);
}

void admission_gate::ask_place(model_index model, ticket_id ticket) {
  auto& side = side_of(model);
  side.batch.place_queries.push_back(ticket);
  mark_urgent(side);
}

void admission_gate::handle(const shard_event& event) {
  std::visit([this](const auto& e) { on(e); }, event);
}

void admission_gate::on(const permit_granted& event) {
  auto& side = side_of(event.model);
  auto& backend = side.of(event.endpoint->backend);
  ++backend.in_use[index_of(event.charge.work)];
  backend.is_told = false;
  side.dirty = true;
  permit granted(*this, event.endpoint,
                 {event.model, backend.id, side.queue_life, now_(), event.charge, event.place});
  auto found = side.waiting.find(event.ticket);
  if (found == side.waiting.end()) return;  // it has left; dropping the permit returns it
  auto* holder = found->second.holder;
  side.waiting.erase(found);
  holder->ticket_granted(std::move(granted));
}

void admission_gate::on(const signalbox::ticket_refused& event) {
  auto& side = side_of(event.model);
  auto found = side.waiting.find(event.ticket);
  if (found == side.waiting.end()) return;
  auto* holder = found->second.holder;
  side.waiting.erase(found);
  holder->ticket_refused(event);
}

void admission_gate::on(const credits_given& event) {
  auto& side = side_of(event.model);
  auto& backend = side.of(event.endpoint->backend);
  backend.endpoint = event.endpoint;
  backend.stocked = true;
  if (side.waiting.empty()) {
    backend.credits += event.count;
  } else {
    give_back(side, backend, event.count);
  }
}

void admission_gate::on(const credits_recalled& event) {
  auto& side = side_of(event.model);
  auto& backend = side.of(event.backend);
  backend.stocked = false;
  backend.endpoint = nullptr;
  give_back(side, backend, std::exchange(backend.credits, 0));
  side.dirty = true;  // a backend that is gone gets forgotten
}

void admission_gate::on(const class_preempted& event) {
  if (preempt_) preempt_(event.model, event.work);
}

void admission_gate::on(const ticket_placed& event) {
  auto& side = side_of(event.model);
  auto found = side.waiting.find(event.ticket);
  if (found != side.waiting.end()) found->second.holder->ticket_placed(event.position, event.eta_s);
}

void admission_gate::on(const queue_restarted&) {
  // The shard answers it by reintroduce(), because it knows the new queue.
}

// A model that has permits in use is kept until they end. The shard cannot send the last report to
// the queue, which is gone, and so calls this once more.
void admission_gate::on(const model_gone& event) {
  auto& side = side_of(event.model);
  side.urgent = side.dirty = false;
  for (auto& [id, left] : std::exchange(side.waiting, {})) {
    left.holder->ticket_refused({event.model, id, refusal::model_removed, 0, {}});
  }
  if (in_use(event.model) == 0) models_[event.model].reset();
}

std::vector<scheduling::backend_units> admission_gate::reintroduce(model_index model) {
  auto& side = side_of(model);
  std::vector<scheduling::backend_units> in_use;
  for (auto& backend : side.backends) {
    backend.credits = 0;  // the old queue's, as are the counts below
    backend.stocked = false;
    backend.endpoint = nullptr;
    backend.returned = backend.ended = 0;
    backend.is_told = false;
    if (const auto units = total(backend.in_use); units > 0) in_use.push_back({backend.id, units});
  }
  ++side.queue_life;
  side.batch = shard_batch{};
  side.batch.shard = shard_;
  for (auto& [id, w] : side.waiting) {
    w.ticket.place.reset();  // the new queue counts anew
    side.batch.tickets.push_back(w.ticket);
  }
  std::sort(side.batch.tickets.begin(), side.batch.tickets.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  if (!side.batch.tickets.empty()) mark_urgent(side);
  return in_use;
}

// Returns the entry for the principal in this turn's batch. Mostly it is the last one again; send()
// merges others.
scheduling::principal_service& admission_gate::service_of(
    model_side& side, const scheduling::service_charge& charge) {
  auto& served = side.batch.served;
  if (served.empty() || served.back().principal != charge.principal ||
      served.back().work != charge.work) {
    served.push_back({.principal = charge.principal, .work = charge.work});
  }
  served.back().weight = charge.weight;
  return served.back();
}

// Returns the signs of the run; null when a newer one has some already.
scheduling::runtime_signs* admission_gate::signs_of(const permit::account& account) {
  auto& signs = side_of(account.model).of(account.backend).signs;
  if (account.run > signs.run) signs = {.run = account.run};
  return account.run == signs.run ? &signs : nullptr;
}

void admission_gate::ended(const permit::account& account, outcome how, time_point now) {
  auto& side = side_of(account.model);
  // A queue that was restarted since has charged nothing.
  if (account.queue_life == side.queue_life) {
    auto& service = service_of(side, account.charge);
    ++service.ended;
    service.corrected +=
        weights_.cost(account.prompt_tokens, account.completion_tokens) - account.charge.cost;
  }
  if (how == outcome::completed && !account.is_unlike_others) {
    side.mean_completion = std::lerp(account.completion_tokens, side.mean_completion, kept_by_ewma);
    if (auto* signs = signs_of(account)) signs->completed = true;
  }
  // Most clients have less patience than a model's deadlines.
  const bool is_left_unheard =
      how == outcome::cancelled && !account.heard && now - account.granted_at >= unheard_for_long;
  if (how == outcome::timed_out || is_left_unheard) {
    if (auto* signs = signs_of(account)) ++signs->deadlines;
  }
  auto& counts = side.batch.settled;
  ++(counts.*counted_as[static_cast<std::size_t>(how)]);
  if (account.is_unlike_others) {
    ++counts.unlike_others;
  } else {
    counts.service += now - account.granted_at;
  }
  ++side.of(account.backend).ended;
  // While a request of this shard waits, the unit goes back to the queue, which decides.
  release(side, account, side.waiting.empty());
}

// Frees the unit of a permit that has ended. With `keep`, it stays as a credit if the shard is
// stocked.
void admission_gate::release(model_side& side, const permit::account& account, bool keep) {
  auto& backend = side.of(account.backend);
  auto& in_use = backend.in_use[index_of(account.charge.work)];
  assert(in_use > 0);
  --in_use;
  backend.is_told = false;
  side.dirty = true;
  if (keep && backend.stocked) {
    ++backend.credits;
  } else {
    give_back(side, backend, 1);
  }
}

void admission_gate::give_back(model_side& side, backend_side& backend, std::uint32_t units) {
  if (units == 0) return;
  backend.returned += units;
  mark_urgent(side);
}

// Returns all credits, because the queue decides about them while a request waits.
void admission_gate::give_back_credits(model_side& side) {
  for (auto& backend : side.backends) {
    give_back(side, backend, std::exchange(backend.credits, 0));
  }
}

void admission_gate::mark_urgent(model_side& side) {
  side.urgent = side.dirty = true;
  if (!std::exchange(flush_scheduled_, true)) schedule_flush_();
}

void admission_gate::flush() {
  flush_scheduled_ = false;
  for (model_index model = 0; model < models_.size(); ++model) {
    if (models_[model] && models_[model]->urgent) send(model);
  }
}

void admission_gate::flush_reports() {
  flush_scheduled_ = false;
  for (model_index model = 0; model < models_.size(); ++model) {
    if (models_[model] && models_[model]->dirty) send(model);
  }
}

void admission_gate::send(model_index model) {
  auto& side = side_of(model);
  side.urgent = side.dirty = false;
  for (auto& backend : side.backends) {
    if (!backend.has_news()) continue;
    side.batch.backends.push_back({backend.id, std::exchange(backend.returned, 0),
                                   std::exchange(backend.ended, 0), backend.in_use,
                                   std::exchange(backend.signs, {})});
    backend.is_told = true;
  }
  std::erase_if(side.backends, [](const backend_side& b) { return b.is_of_no_use(); });
  merge(side.batch.served);
  shard_batch next;
  next.shard = shard_;
  send_(model, std::exchange(side.batch, std::move(next)));
}

std::uint32_t admission_gate::in_use(model_index model) const {
  std::uint32_t sum = 0;
  if (const auto* side = find(model)) {
    for (const auto& backend : side->backends) sum += total(backend.in_use);
  }
  return sum;
}

std::uint64_t admission_gate::mean_completion(model_index model) const {
  const auto* const side = find(model);
  return side ? static_cast<std::uint64_t>(side->mean_completion) : 0;
}

std::size_t admission_gate::waiting() const {
  std::size_t sum = 0;
  for (const auto& side : models_) sum += side ? side->waiting.size() : 0;
  return sum;
}

}  // namespace signalbox::http
