// Admission as tests of preemption see it: what a shard has in flight, gives up and submits again.
#pragma once

#include <boost/test/unit_test.hpp>
#include <map>
#include <vector>

#include "tests/scheduling/effects.hpp"
#include "tests/scheduling/single_backend.hpp"

namespace signalbox::test {

using namespace scheduling;
using namespace std::chrono_literals;

inline constexpr time_point t0{1h};

using ids = std::vector<ticket_id>;

inline ticket of(ticket_id id, std::uint32_t principal = 1, priority level = priority::normal) {
  return {.id = id, .level = level, .principal = principal, .estimate = 100};
}

// The queue of one backend, with what its shard has in flight.
class return_scene {
 public:
  explicit return_scene(single_backend_limits limits) : queue(limits) { keep(queue.open(t0)); }

  void submit(const ticket& t, time_point now = t0) {
    tickets_[t.id] = t;
    keep(queue.submit(t, now));
  }
  // As its shard does: the charge is taken back, and the ticket comes again, under another id.
  void give_up(ticket_id id, ticket_id again, time_point now = t0) {
    const auto grant = running_.extract(id).mapped();
    queue.count_service(end_of(grant, -grant.charge.cost), now);
    auto t = tickets_.at(id);
    t.id = again;
    t.place = grant.place;
    submit(t, now);
    keep(queue.give_back(0, 1, now));
  }
  void end(ticket_id id, double corrected = 0, time_point now = t0) {
    queue.count_service(end_of(running_.extract(id).mapped(), corrected), now);
    keep(queue.give_back(0, 1, now));
  }
  // Ends requests while tickets wait, and returns the order in which these were granted.
  ids drain(time_point now = t0) {
    granted_.clear();
    keep(queue.open(now));
    while (queue.waiting() > 0) {
      BOOST_REQUIRE(!running_.empty());
      end(running_.begin()->first, 0, now);
    }
    return granted_;
  }
  std::uint32_t position(ticket_id id, time_point now = t0) const {
    const auto place = queue.place(id, now);
    return place ? place->position : 0;
  }
  const grant_permit& grant_of(ticket_id id) const { return running_.at(id); }
  bool runs(ticket_id id) const { return running_.contains(id); }
  ids running() const {
    ids found;
    for (const auto& [id, grant] : running_) found.push_back(id);
    return found;
  }
  const ids& granted() const { return granted_; }
  void close() { keep(queue.close(t0)); }
  void keep(const admission_effects& effects) {
    for (const auto& grant : all<grant_permit>(effects)) {
      running_.emplace(grant.id, grant);
      granted_.push_back(grant.id);
    }
  }

  single_backend queue;

 private:
  static principal_service end_of(const grant_permit& grant, double corrected) {
    return {.principal = grant.charge.principal,
            .work = grant.charge.work,
            .weight = grant.charge.weight,
            .ended = 1,
            .corrected = corrected};
  }

  std::map<ticket_id, ticket> tickets_;
  std::map<ticket_id, grant_permit> running_;
  ids granted_;
};

}  // namespace signalbox::test
