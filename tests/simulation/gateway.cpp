#include "tests/simulation/gateway.hpp"

#include <bit>
#include <sstream>
#include <utility>

namespace signalbox::simulation {

void totals::add(const totals& more) {
  steps += more.steps;
  clients += more.clients;
  granted += more.granted;
  by_credit += more.by_credit;
  refused += more.refused;
  preempted += more.preempted;
  loads += more.loads;
  hangs += more.hangs;
  swaps += more.swaps;
  deaths += more.deaths;
}

gateway::gateway(world& time, setup given)
    : w(time),
      s(std::move(given)),
      gpus(*this),
      supervisor(*this),
      waits_since_(s.models.size(), time.now()) {
  for (const auto& m : s.models) units_.push_back(m.units);
  for (std::uint32_t n = 0; n < s.shards; ++n) {
    shards.push_back(std::make_unique<shard>(*this, static_cast<shard_id>(n)));
  }
}

void gateway::start() {
  supervisor.start_all();
  supervisor.attach_shards();
}

void gateway::client_arrives() {
  const auto model = std::min(w.below(s.models.size()), w.below(s.models.size()));
  const auto principal = std::min(w.below(s.principals), w.below(s.principals));
  auto work = work_class::realtime;
  auto level = priority::normal;
  if (!s.same_urgency) {
    work = w.chance(0.8) ? work_class::realtime : work_class::batch;
    if (w.chance(0.05)) work = work_class::eval;
    level = static_cast<priority>(w.below(priority_count));
  }
  shards[w.below(shards.size())]->client_arrives(static_cast<model_index>(model), work, level,
                                                 static_cast<std::uint32_t>(principal));
}

void gateway::begin_stop() {
  w.note("stop");
  supervisor.stop();
  supervisor.tell_to_stop();
}

void gateway::end_stop() {
  supervisor.kill_backends();
}

void gateway::change_units(model_index m, std::uint32_t count) {
  w.note("units: model, count", m, count);
  units_[m] = count;
  supervisor.tell_units(m);
}

void gateway::restart_all_waits() {
  for (auto& since : waits_since_) since = w.now();
}

void gateway::count_service(const http::admission_request& request, double cost) {
  auto* queue = supervisor.living_queue(request.model);
  if (queue != nullptr) queue->served(request.principal, cost, request.weight);
}

void gateway::check_token(fencing_token token) {
  w.require(token > last_token_, "tokens grow", token, last_token_);
  last_token_ = token;
}

void gateway::check() {
  for (auto rest = std::exchange(touched_, 0); rest != 0; rest &= rest - 1) {
    check_queue(static_cast<model_index>(std::countr_zero(rest)));
  }
}

void gateway::check_queue(model_index m) {
  const auto* queue = supervisor.living_queue(m);
  if (queue == nullptr) return;
  if (w.in_transit(backends_of(m)) == 0 && is_quiet(m)) check_open(m, *queue);
  if (queue->rules().waiting() == 0) return restart_wait(m);
  w.require(w.now() - waits_since_[m] <= s.longest_wait, "no model starves", m);
  if (is_quiet(m)) check_no_idle_unit(m, *queue);
}

// All that was to be said between the shards and the queue has arrived.
bool gateway::is_quiet(model_index m) const {
  if (w.in_transit(shards_of(m)) > 0) return false;
  for (const auto& each : shards) {
    if (!each->is_quiet()) return false;
  }
  return true;
}

// Once all is said, the queue gives permits of the backends that are ready, and of no others.
void gateway::check_open(model_index m, const queue_shell& queue) {
  supervisor.for_each_living_backend(m, [&](const backend_shell& b) {
    const bool is_ready = b.life().may_admit();
    const bool is_open = queue.queue().permits().is_open(b.id());
    if (b.is_answer_due()) return;
    w.require(is_ready == is_open, "a backend is open when it is ready", b.id(), is_open);
  });
}

void gateway::check_no_idle_unit(model_index m, const queue_shell& queue) {
  for (const auto& a : queue.rules().accounts()) {
    std::uint32_t permits = 0;
    for (const auto& each : shards) permits += each->rules().permits(m, a.backend);
    w.require(permits == a.held(), "no credit is idle while a ticket waits", a.backend, permits);
    const bool is_open = queue.queue().permits().is_open(a.backend);
    w.require(!is_open || permits >= queue.rules().units(a.backend),
              "no unit is free while a ticket waits", a.backend, permits);
  }
}

bool gateway::is_attached() const {
  for (model_index m = 0; m < s.models.size(); ++m) {
    if (w.in_transit(shards_of(m)) > 0) return false;
  }
  return true;
}

bool gateway::has_ended() const {
  for (const auto& each : shards) {
    if (!each->is_idle()) return false;
  }
  return true;
}

void gateway::check_all_released() const {
  for (model_index m = 0; m < s.models.size(); ++m) {
    supervisor.for_each_living_backend(
        m, [&](const backend_shell& b) { w.require(false, "every backend has ended", m, b.id()); });
    const auto* queue = supervisor.living_queue(m);
    if (queue == nullptr) continue;
    // It hears of no death any more, and keeps its credits.
    const bool is_clean = !supervisor.has_killed_backend(m);
    w.require(!is_clean || queue->queue().permits().held() == 0, "every unit is back", m);
    w.require(queue->queue().permits().waiting() == 0, "nothing waits", m);
  }
  w.require(gpus.is_empty(), "no runtime is left");
  if (supervisor.lives_pool()) {
    const auto& arbiter = supervisor.pool().arbiter();
    w.require(arbiter.leases().empty() && arbiter.pending() == 0, "no lease is left");
  }
}

std::string gateway::describe() const {
  std::ostringstream text;
  for (model_index m = 0; m < s.models.size(); ++m) {
    text << "  model " << m << ": ";
    if (const auto* queue = supervisor.living_queue(m)) {
      const auto& permits = queue->queue().permits();
      text << (permits.is_open() ? "open" : "closed") << ", waiting " << permits.waiting()
           << ", held " << permits.held() << ", units " << permits.units() << '\n';
      for (const auto& a : queue->rules().accounts()) {
        text << "    backend " << a.backend << ": held " << a.held() << '\n';
      }
    } else {
      text << "its queue is dead\n";
    }
    supervisor.for_each_living_backend(m, [&](const backend_shell& b) {
      text << "    backend " << b.id() << ": " << core::to_string(b.life().state()) << ", lease "
           << b.life().token() << ", failures " << b.life().failures() << '\n';
    });
  }
  for (const auto& each : shards) text << "  shard: " << each->living() << " requests\n";
  return text.str();
}

}  // namespace signalbox::simulation
