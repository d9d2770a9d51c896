#include "tests/simulation/shard.hpp"

#include <utility>

#include "tests/simulation/gateway.hpp"
#include "tests/simulation/queue_shell.hpp"

namespace signalbox::simulation {

using namespace std::chrono_literals;

namespace {

constexpr duration tick_gap = 100ms;  // as the shard's
constexpr duration turn = 200us;      // of the shard's loop, at most

}  // namespace

void request::ticket_granted(http::permit p) {
  home->begin_sending(*this, std::move(p));
}

void request::ticket_refused(const signalbox::ticket_refused& why) {
  home->g_.w.require(now_in == phase::waiting && why.ticket == ticket, "a ticket ends once",
                     ticket);
  ++home->g_.sum.refused;
  home->rules_.waits_no_more(what.model);
  home->end(*this);
}

void request::ticket_placed(std::uint32_t position, double eta_s) {
  home->g_.w.require(now_in == phase::waiting, "only who waits has a place", ticket);
  home->g_.w.require(position >= 1 && eta_s >= 0, "a place is one", position);
}

shard::shard(gateway& g, shard_id id)
    : g_(g), id_(id), actor_(g.w.begin_actor()), rules_(g.w, g.s.models.size()) {
  gate_ = std::make_unique<http::admission_gate>(
      id, core::token_weights{},
      [this](model_index m, shard_batch batch) { send(m, std::move(batch)); },
      [this] { schedule_flush(); }, [this] { return g_.w.now(); },
      [this](model_index m, work_class work) { preempt(m, work); });
}

request& shard::new_request() {
  if (unused_.empty()) {
    requests_.emplace_back().home = this;
    unused_.push_back(&requests_.back());
  }
  auto& r = *unused_.back();
  unused_.pop_back();
  r.place = living_.size();
  living_.push_back(&r);
  return r;
}

void shard::end(request& r) {
  r.now_in = request::phase::ended;
  r.ticket = 0;
  next_serial(r);
  living_.back()->place = r.place;
  living_[r.place] = living_.back();
  living_.pop_back();
  unused_.push_back(&r);
}

void shard::plan(request& r, duration delay, void (shard::*what)(request&)) {
  g_.w.after(delay, [this, &r, serial = r.serial, what] {
    if (r.serial == serial) (this->*what)(r);
  });
}

// The shard ticks always; here only after something happened, for what a tick could find.
void shard::plan_tick() {
  if (std::exchange(tick_planned_, true)) return;
  g_.w.after(tick_gap, [this] { tick(); });
}

void shard::tick() {
  tick_planned_ = false;
  gate_->flush_reports();
  const auto all = living_;
  for (auto* r : all) {
    if (r->now_in == request::phase::parked) go_back(*r);
  }
}

void shard::schedule_flush() {
  ++planned_flushes_;
  g_.w.after(g_.w.between(0us, turn), [this] {
    --planned_flushes_;
    gate_->flush();
  });
}

void shard::send(model_index m, shard_batch batch) {
  rules_.sent(m, batch);
  g_.touch(m);
  simulation::send(g_.w, actor_, g_.supervisor.queue(m), std::move(batch), g_.shards_of(m));
}

// Posted events wait for the next turn of the loop, which is late sometimes.
void shard::on(const std::vector<shard_event>& events) {
  const bool is_planned = !unread_.empty();
  unread_.insert(unread_.end(), events.begin(), events.end());
  if (is_planned) return;
  const auto late = g_.w.chance(0.01) ? g_.w.between(0us, g_.w.slowest_message()) : 0us;
  g_.w.after(late, [this] { read(); });
}

void shard::read() {
  for (const auto& event : std::exchange(unread_, {})) {
    if (const auto* restarted = std::get_if<queue_restarted>(&event)) {
      auto in_use = gate_->reintroduce(restarted->model);
      rules_.introduced(restarted->model, in_use);
      simulation::send(g_.w, actor_, g_.supervisor.queue(restarted->model),
                       shard_attached{id_, ref(), std::move(in_use), restarted->life},
                       g_.shards_of(restarted->model));
    } else {
      receive(event);
    }
    g_.touch(std::visit([](const auto& e) { return e.model; }, event));
  }
  plan_tick();
}

void shard::receive(const shard_event& event) {
  if (const auto* given = std::get_if<credits_given>(&event)) {
    rules_.came(given->model, given->endpoint->backend, given->count);
  }
  const auto* granted = std::get_if<permit_granted>(&event);
  if (granted == nullptr) return gate_->handle(event);
  const auto m = granted->model;
  const auto backend = granted->endpoint->backend;
  rules_.came(m, backend, 1);
  rules_.charged(m, granted->charge.cost);
  const auto before = g_.sum.granted;
  gate_->handle(event);
  if (g_.sum.granted > before) return;
  // Its client left meanwhile: the gate has given the permit back.
  const auto work = granted->charge.work;
  rules_.begun(m, backend, work, false);
  rules_.ended(m, backend, work, http::outcome::cancelled, core::token_weights{}.cost(0, 0),
               rules_.life(m));
}

}  // namespace signalbox::simulation
