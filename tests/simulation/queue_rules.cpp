#include "tests/simulation/queue_rules.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace signalbox::simulation {

using namespace std::chrono_literals;

namespace {

// Idle credits are waited for a little longer than the client wants to.
constexpr duration recall_patience = 50ms;

}  // namespace

std::uint32_t queue_rules::account::held() const {
  return std::accumulate(out.begin(), out.end(), 0u);
}

bool queue_rules::account::is_stocked() const {
  return std::find(stocked.begin(), stocked.end(), true) != stocked.end();
}

queue_rules::queue_rules(world& w, const setup& s, const model_setup& m,
                         const core::model_queue& queue)
    : w_(w), s_(s), m_(m), core_(queue) {}

queue_rules::account& queue_rules::of(backend_id backend) {
  for (auto& a : accounts_) {
    if (a.backend == backend) return a;
  }
  accounts_.push_back({.backend = backend});
  return accounts_.back();
}

void queue_rules::attached(shard_id shard, std::span<const core::backend_units> in_use) {
  for (auto& a : accounts_) {
    a.out[shard] = 0;
    a.stocked[shard] = false;
  }
  for (const auto& [backend, units] : in_use) of(backend).out[shard] += units;
  attached_[shard] = true;
}

void queue_rules::heard(const core::shard_batch& batch) {
  if (!attached_[batch.shard]) return;
  for (const auto& report : batch.backends) {
    if (report.units_returned == 0) continue;
    auto& out = of(report.backend).out[batch.shard];
    w_.require(report.units_returned <= out, "no unit returns twice", report.backend, out);
    out -= report.units_returned;
  }
  for (const auto id : batch.cancelled) {
    if (waiting_.contains(id)) left_.emplace_back(id, end(id));
  }
  incoming_ = &batch;
}

bool queue_rules::decided(const core::queue_effects& effects) {
  has_ended_one_ = false;
  for (const auto& effect : effects) {
    std::visit([this](const auto& e) { decide(e); }, effect);
  }
  if (const auto* batch = std::exchange(incoming_, nullptr)) {
    const auto is_in = [](const std::vector<ticket_id>& ids, ticket_id id) {
      return std::find(ids.begin(), ids.end(), id) != ids.end();
    };
    for (const auto& t : batch->tickets) {
      if (!is_in(batch->cancelled, t.id) && !is_in(ended_at_once_, t.id)) begin(t);
    }
    ended_at_once_.clear();
    left_.clear();
  }
  std::erase_if(accounts_, [this](const account& a) {
    return a.held() == 0 && !a.is_stocked() && !core_.permits().is_open(a.backend);
  });
  return has_ended_one_;
}

void queue_rules::decide(const core::grant_permit& e) {
  const auto t = end(e.id);
  w_.require(t.work == e.work, "a grant is for the ticket's class", e.id);
  w_.require(w_.now() < std::max(t.deadline, t.since + recall_patience + 1ns),
             "no grant past the deadline", e.id);
  // Tickets of this same batch may have come after the grant.
  for (std::size_t more_urgent = 0; more_urgent < index_of(e.work); ++more_urgent) {
    w_.require(waiting_of_class_[more_urgent] == 0, "the more urgent class goes first", e.id,
               more_urgent);
  }
  give(e.shard, e.backend, 1);
  has_ended_one_ = true;
}

void queue_rules::decide(const core::refuse_ticket& e) {
  end(e.id);
  const bool is_failing = e.why == refusal::model_failed || e.why == refusal::does_not_fit;
  const auto refuses = [this](const auto& b) { return w_.now() < b.second; };
  w_.require(!is_failing || std::all_of(refused_until_.begin(), refused_until_.end(), refuses),
             "a model refuses nobody while a backend may serve", e.id);
  // Clients that were refused for another reason may come again and be refused again, for ever.
  has_ended_one_ = has_ended_one_ || is_failing || e.why == refusal::shutting_down;
}

void queue_rules::decide(const core::give_credits& e) {
  give(e.shard, e.backend, e.count);
  of(e.backend).stocked[e.shard] = true;
}

void queue_rules::decide(const core::recall_credits& e) {
  of(e.backend).stocked[e.shard] = false;
}

void queue_rules::give(shard_id shard, backend_id backend, std::uint32_t units) {
  auto& a = of(backend);
  w_.require(attached_[shard], "units go to shards that are attached", shard);
  w_.require(core_.permits().is_open(backend), "nothing is given of a closed backend", backend);
  a.out[shard] += units;
  w_.require(a.held() <= this->units(backend), "never more units than there are", backend,
             a.held());
}

queue_rules::waiting_ticket queue_rules::end(ticket_id id) {
  const auto found = waiting_.find(id);
  if (found != waiting_.end()) {
    const auto t = found->second;
    waiting_.erase(found);
    count_waiting(t, -1);
    w_.require(w_.now() <= std::max(t.deadline, t.since + recall_patience) + tick_timer::latest,
               "nothing waits past its deadline", id);
    return t;
  }
  // Its client has just left, but its deadline came first.
  for (auto& [left, t] : left_) {
    if (left == id) return std::exchange(left, 0), t;
  }
  // It came just now, and need not wait.
  static const core::shard_batch nothing;
  const auto& tickets = (incoming_ != nullptr ? *incoming_ : nothing).tickets;
  const auto own = std::find_if(tickets.begin(), tickets.end(),
                                [id](const core::ticket& t) { return t.id == id; });
  const bool is_first =
      std::find(ended_at_once_.begin(), ended_at_once_.end(), id) == ended_at_once_.end();
  w_.require(own != tickets.end() && is_first, "a ticket ends once", id);
  ended_at_once_.push_back(id);
  return {w_.now(), own->deadline, own->principal, own->work};
}

void queue_rules::begin(const core::ticket& t) {
  const waiting_ticket added{w_.now(), t.deadline, t.principal, t.work};
  if (waiting_.emplace(t.id, added).second) count_waiting(added, 1);
}

void queue_rules::count_waiting(const waiting_ticket& t, int more) {
  waiting_of_class_[index_of(t.work)] += static_cast<std::uint32_t>(more);
  auto& own = waiting_of_[t.principal];
  const bool turned = own == 0 || own + static_cast<std::uint32_t>(more) == 0;
  own += static_cast<std::uint32_t>(more);
  if (turned && s_.same_urgency) measure_gaps(t.principal);
}

void queue_rules::served(std::uint32_t principal, double cost, double weight) {
  served_[principal] += cost / weight;
  if (s_.same_urgency) measure_gaps(principal);
}

// Twice the bound of the core: reports are under way, credits of other shards are spent meanwhile,
// and service counts as it ends.
void queue_rules::measure_gaps(std::uint32_t f) {
  const auto in_flight = m_.units * m_.backends * static_cast<double>(longest_request_tokens);
  const auto bound = 2 * 2 * core::token_weights{}.completion * in_flight;
  for (std::uint32_t g = 0; g < principals; ++g) {
    if (g == f) continue;
    const auto low = std::min(f, g), high = std::max(f, g);
    auto& gap = gaps_[low * principals + high];
    const auto difference = served_[low] - served_[high];
    const bool was = std::exchange(gap.both_wait, waiting_of_[f] > 0 && waiting_of_[g] > 0);
    if (!was) gap.least = gap.most = difference;
    if (!gap.both_wait) continue;
    gap.least = std::min(gap.least, difference);
    gap.most = std::max(gap.most, difference);
    w_.require(gap.most - gap.least <= bound, "service of two who wait differs by a bound", f, g);
  }
}

void queue_rules::check() const {
  const auto& permits = core_.permits();
  w_.require(permits.waiting() == waiting_.size(), "the queue forgets no ticket", permits.waiting(),
             waiting_.size());
  w_.require(!is_stopped_ || waiting_.empty(), "nothing waits after the stop", waiting_.size());
  std::uint64_t held = 0;
  for (const auto& a : accounts_) {
    w_.require(permits.held(a.backend) == a.held(), "units are conserved", permits.held(a.backend),
               a.held());
    held += a.held();
    w_.require(a.held() <= units(a.backend) || !a.is_stocked(), "units beyond the number return",
               a.backend, a.held());
    if (waiting_.empty()) continue;
    w_.require(!a.is_stocked(), "credits only while nobody waits", a.backend);
  }
  w_.require(permits.held() == held, "units are conserved", permits.held(), held);
}

}  // namespace signalbox::simulation
