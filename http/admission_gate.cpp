#include "http/admission_gate.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace signalbox::http {

permit::permit(admission_gate& gate, model_index model, endpoint_ptr endpoint, time_point now)
    : gate_(&gate), model_(model), endpoint_(std::move(endpoint)), granted_at_(now) {}

permit::permit(permit&& other) noexcept
    : gate_(std::exchange(other.gate_, nullptr)),
      model_(other.model_),
      endpoint_(std::move(other.endpoint_)),
      granted_at_(other.granted_at_) {}

permit& permit::operator=(permit&& other) noexcept {
  if (this != &other) {
    settle(outcome::cancelled);
    gate_ = std::exchange(other.gate_, nullptr);
    model_ = other.model_;
    endpoint_ = std::move(other.endpoint_);
    granted_at_ = other.granted_at_;
  }
  return *this;
}

void permit::settle(outcome how) {
  if (gate_) settle(how, gate_->now_());
}

void permit::settle(outcome how, time_point now) {
  if (auto* gate = std::exchange(gate_, nullptr)) gate->ended(model_, how, now - granted_at_);
}

admission_gate::admission_gate(shard_id shard, std::size_t models, send_batch send,
                               std::function<void()> schedule_flush, clock now)
    : shard_(shard),
      send_(std::move(send)),
      schedule_flush_(std::move(schedule_flush)),
      now_(std::move(now)),
      models_(models) {
  for (auto& side : models_) side.batch.shard = shard;
}

std::optional<permit> admission_gate::take(model_index model, time_point now) {
  auto& side = models_[model];
  if (side.credits == 0 || !side.waiting.empty()) return std::nullopt;
  --side.credits;
  ++side.in_use;
  side.dirty = true;
  return permit(*this, model, side.endpoint, now);
}

ticket_id admission_gate::wait(model_index model, work_class work, priority level,
                               time_point deadline, ticket_holder& holder) {
  auto& side = models_[model];
  const ticket_id id = (static_cast<ticket_id>(shard_) << 48) | next_ticket_++;
  const scheduling::ticket ticket{id, shard_, work, level, deadline};
  side.waiting.emplace(id, waiter{&holder, ticket});
  side.batch.tickets.push_back(ticket);
  // Somebody waits: credits still here (they arrived meanwhile) are the queue's to give.
  give_back(side, std::exchange(side.credits, 0));
  mark_urgent(side);
  return id;
}

void admission_gate::leave(model_index model, ticket_id ticket) {
  auto& side = models_[model];
  if (side.waiting.erase(ticket) == 0) return;
  side.batch.cancelled.push_back(ticket);
  mark_urgent(side);
}

void admission_gate::ask_place(model_index model, ticket_id ticket) {
  auto& side = models_[model];
  side.batch.place_queries.push_back(ticket);
  mark_urgent(side);
}

void admission_gate::handle(const shard_event& event) {
  std::visit([this](const auto& e) { on(e); }, event);
}

void admission_gate::on(const permit_granted& event) {
  auto& side = models_[event.model];
  ++side.in_use;
  side.dirty = true;
  permit granted(*this, event.model, event.endpoint, now_());
  auto found = side.waiting.find(event.ticket);
  if (found == side.waiting.end()) return;  // it left meanwhile: dropping the permit returns it
  auto* holder = found->second.holder;
  side.waiting.erase(found);
  holder->ticket_granted(std::move(granted));
}

void admission_gate::on(const signalbox::ticket_refused& event) {
  auto& side = models_[event.model];
  auto found = side.waiting.find(event.ticket);
  if (found == side.waiting.end()) return;
  auto* holder = found->second.holder;
  side.waiting.erase(found);
  holder->ticket_refused(event);
}

void admission_gate::on(const credits_given& event) {
  auto& side = models_[event.model];
  side.endpoint = event.endpoint;
  side.stocked = true;
  if (side.waiting.empty()) {
    side.credits += event.count;
  } else {
    give_back(side, event.count);
  }
}

void admission_gate::on(const credits_recalled& event) {
  auto& side = models_[event.model];
  side.stocked = false;
  side.endpoint = nullptr;
  give_back(side, std::exchange(side.credits, 0));
}

void admission_gate::on(const ticket_placed& event) {
  auto& side = models_[event.model];
  auto found = side.waiting.find(event.ticket);
  if (found != side.waiting.end()) found->second.holder->ticket_placed(event.position, event.eta_s);
}

void admission_gate::on(const queue_restarted&) {
  // The shard answers it, through reintroduce(): it knows the new queue.
}

std::uint32_t admission_gate::reintroduce(model_index model) {
  auto& side = models_[model];
  side.credits = 0;  // they were the old queue's
  side.stocked = false;
  side.endpoint = nullptr;
  side.batch = shard_batch{};
  side.batch.shard = shard_;
  for (const auto& [id, w] : side.waiting) side.batch.tickets.push_back(w.ticket);
  std::sort(side.batch.tickets.begin(), side.batch.tickets.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  if (!side.batch.tickets.empty()) mark_urgent(side);
  return side.in_use;
}

void admission_gate::ended(model_index model, outcome how, duration service) {
  auto& side = models_[model];
  assert(side.in_use > 0);
  --side.in_use;
  side.dirty = true;
  auto& counts = side.batch.settled;
  switch (how) {
    case outcome::completed:
      ++counts.completed;
      break;
    case outcome::failed:
      ++counts.failed;
      break;
    case outcome::cancelled:
      ++counts.cancelled;
      break;
    case outcome::timed_out:
      ++counts.timed_out;
      break;
  }
  counts.service += service;
  // While a request of this shard waits, a unit that ends is the queue's to give to whom is next.
  if (side.stocked && side.waiting.empty()) {
    ++side.credits;
  } else {
    give_back(side, 1);
  }
}

void admission_gate::give_back(model_side& side, std::uint32_t units) {
  if (units == 0) return;
  side.batch.units_returned += units;
  mark_urgent(side);
}

void admission_gate::mark_urgent(model_side& side) {
  side.urgent = side.dirty = true;
  if (!std::exchange(flush_scheduled_, true)) schedule_flush_();
}

void admission_gate::flush() {
  flush_scheduled_ = false;
  for (model_index model = 0; model < models_.size(); ++model) {
    if (models_[model].urgent) send(model);
  }
}

void admission_gate::flush_reports() {
  flush_scheduled_ = false;
  for (model_index model = 0; model < models_.size(); ++model) {
    if (models_[model].dirty) send(model);
  }
}

void admission_gate::send(model_index model) {
  auto& side = models_[model];
  side.urgent = side.dirty = false;
  shard_batch next;
  next.shard = shard_;
  side.batch.in_use = side.in_use;
  send_(model, std::exchange(side.batch, std::move(next)));
}

std::size_t admission_gate::waiting() const {
  std::size_t sum = 0;
  for (const auto& side : models_) sum += side.waiting.size();
  return sum;
}

}  // namespace signalbox::http
