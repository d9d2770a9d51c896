// The life of a request; part of shard.
#include <algorithm>
#include <utility>

#include "tests/simulation/gateway.hpp"
#include "tests/simulation/queue_shell.hpp"
#include "tests/simulation/shard.hpp"

namespace signalbox::simulation {

using namespace std::chrono_literals;
using phase = request::phase;

namespace {

constexpr duration queue_answer_slack = 2s;  // as in upstream_call.cpp
constexpr duration first_byte_timeout = 5s;
constexpr duration connection_breaks = 5ms;  // at most, after the end of its runtime

// As Ollama's clients want the model: gone, kept for a while, or for ever.
duration some_keep(world& w) {
  if (w.chance(0.4)) return 0s;
  return w.chance(0.3) ? -1s : w.between(0s, 30s);
}

}  // namespace

void shard::client_arrives(model_index m, work_class work, priority level,
                           std::uint32_t principal) {
  auto& w = g_.w;
  auto& r = new_request();
  ++g_.sum.clients;
  r.prompt = w.below(longest_request_tokens / 2);
  r.completion = w.below(longest_request_tokens / 2);
  const double seems = static_cast<double>(r.prompt) / 2;
  r.what = {m, work, level, principal, principal % 2 == 0 ? 2.0 : 1.0, seems, w.chance(0.2)};
  r.may_be_resent = w.chance(g_.s.models[m].may_be_resent);
  auto patience = g_.s.models[m].queue_timeout;
  if (w.chance(0.1)) patience = std::min(patience, w.chance(0.5) ? 0s : w.between(0s, 5s));
  r.give_up_at = w.now() + patience;
  plan_tick();
  if (auto taken = gate_->take(r.what, w.now())) {
    ++g_.sum.by_credit;
    rules_.begun(m, taken->endpoint()->backend, work, true);
    return send_upstream(r, std::move(*taken));
  }
  wait(r);
}

void shard::wait(request& r) {
  r.ticket = gate_->wait(r.what, r.give_up_at, r);
  begin_waiting(r);
}

void shard::begin_waiting(request& r) {
  auto& w = g_.w;
  r.now_in = phase::waiting;
  next_serial(r);
  rules_.waits(r.what.model);
  const auto rest = std::max<duration>(r.give_up_at - w.now(), 0s);
  plan(r, rest + queue_answer_slack + 3 * w.slowest_message(), &shard::queue_is_silent);
  if (w.chance(0.1)) plan(r, w.between(0ms, 10s), &shard::client_leaves);
  if (w.chance(0.1)) plan(r, w.between(0ms, 2s), &shard::ask_place);
}

void shard::ask_place(request& r) {
  gate_->ask_place(r.what.model, r.ticket);
}

void shard::client_leaves(request& r) {
  if (r.now_in == phase::waiting) {
    rules_.waits_no_more(r.what.model);
    gate_->leave(r.what.model, r.ticket);
  }
  const bool has_permit = r.now_in == phase::in_flight || r.now_in == phase::parked;
  if (has_permit) settle(r, http::outcome::cancelled, false);
  end(r);
}

// A queue that lives answers each ticket at its deadline. One that died meanwhile is told of the
// ticket again, after it came back.
void shard::queue_is_silent(request& r) {
  const auto m = r.what.model;
  const auto slack = queue_answer_slack + 5 * g_.w.slowest_message();
  const bool lives = g_.supervisor.living_queue(m) != nullptr;
  const auto lives_for = lives ? g_.supervisor.queue_lives_for(m) : duration::zero();
  if (!lives && g_.supervisor.is_stopping()) return client_leaves(r);
  if (lives_for < slack) return plan(r, slack - lives_for, &shard::queue_is_silent);
  g_.w.require(false, "a living queue answers a ticket in time", m, r.ticket);
}

void shard::begin_sending(request& r, http::permit p) {
  auto& w = g_.w;
  w.require(r.now_in == phase::waiting, "a ticket ends once", r.ticket);
  ++g_.sum.granted;
  rules_.waits_no_more(r.what.model);
  rules_.begun(r.what.model, p.endpoint()->backend, r.what.work, false);
  send_upstream(r, std::move(p));
}

void shard::send_upstream(request& r, http::permit p) {
  auto& w = g_.w;
  const auto& m = g_.s.models[r.what.model];
  r.now_in = phase::in_flight;
  r.ticket = 0;
  next_serial(r);
  r.charged_by = rules_.life(r.what.model);
  r.permit = std::move(p);
  if (w.chance(m.says_keep)) gate_->keep_loaded(r.what.model, some_keep(w));
  const auto& to = *r.permit.endpoint();
  r.is_delivered = g_.gpus.begin_request(to.backend, to.incarnation);
  if (!r.is_delivered) return plan(r, w.between(0ms, 5ms), &shard::connection_refused);
  plan(r, w.between(m.shortest_service, m.longest_service), &shard::answered);
  if (w.chance(0.05)) plan(r, w.between(0s, m.longest_service), &shard::client_leaves);
}

void shard::settle(request& r, http::outcome how, bool is_used) {
  const auto m = r.what.model;
  const auto to = r.permit.endpoint();
  if (is_used) r.permit.used(r.prompt, r.completion);
  const auto cost = is_used ? core::token_weights{}.cost(static_cast<double>(r.prompt),
                                                         static_cast<double>(r.completion))
                            : core::token_weights{}.cost(0, 0);
  leave_upstream(r, *to);
  rules_.ended(m, to->backend, r.what.work, how, cost, r.charged_by);
  if (r.charged_by == rules_.life(m)) g_.count_service(r.what, cost);
  r.permit.settle(how);
}

void shard::leave_upstream(request& r, const backend_endpoint& from) {
  if (std::exchange(r.is_delivered, false)) g_.gpus.end_request(from.backend, from.incarnation);
}

void shard::answered(request& r) {
  const auto& to = *r.permit.endpoint();
  if (g_.gpus.is_hung(to.backend, to.incarnation)) {
    return plan(r, first_byte_timeout, &shard::deadline_passed);
  }
  if (g_.w.chance(0.02)) return deadline_passed(r);
  r.permit.heard();
  plan_tick();
  settle(r, http::outcome::completed, true);
  end(r);
}

void shard::deadline_passed(request& r) {
  settle(r, http::outcome::timed_out, true);
  end(r);
}

// The runtime died, it seems, and its queue does not know yet.
void shard::connection_refused(request& r) {
  r.permit.refused();
  r.now_in = phase::parked;
  next_serial(r);
  plan_tick();
}

// It waits again where it stood, as long as it may.
void shard::go_back(request& r) {
  const auto m = r.what.model;
  rules_.preempted(m, r.permit.endpoint()->backend, r.what.work, r.charged_by);
  r.ticket = gate_->wait_again(std::move(r.permit), r.what, r.give_up_at, r);
  begin_waiting(r);
}

void shard::connection_lost(request& r) {
  settle(r, http::outcome::failed, false);
  end(r);
}

void shard::runtime_gone(backend_id backend, std::uint64_t incarnation) {
  for (auto* r : living_) {
    if (!r->is_delivered) continue;
    const auto& to = *r->permit.endpoint();
    if (to.backend != backend || to.incarnation != incarnation) continue;
    plan(*r, g_.w.between(0ms, connection_breaks), &shard::connection_lost);
  }
}

void shard::clients_gone() {
  const auto all = living_;
  for (auto* r : all) client_leaves(*r);
}

// Some are cancelled at their runtime at once, others a little later.
void shard::preempt(model_index m, work_class work) {
  for (auto* r : living_) {
    if (r->now_in != phase::in_flight || !r->may_be_resent) continue;
    if (r->what.model != m || r->what.work != work) continue;
    if (g_.w.chance(0.5)) {
      wait_again(*r);
    } else {
      plan(*r, g_.w.between(0ms, connection_breaks), &shard::wait_again);
    }
  }
}

void shard::wait_again(request& r) {
  const auto to = r.permit.endpoint();
  const auto m = r.what.model;
  leave_upstream(r, *to);
  rules_.preempted(m, to->backend, r.what.work, r.charged_by);
  ++g_.sum.preempted;
  r.give_up_at = g_.w.now() + g_.s.models[m].queue_timeout;
  r.ticket = gate_->wait_again(std::move(r.permit), r.what, r.give_up_at, r);
  begin_waiting(r);
}

}  // namespace signalbox::simulation
