// Events at random: whatever comes in whatever order, what must hold holds.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "tests/scheduling/arbiter_scenes.hpp"
#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(lease_arbiter_events)

namespace {

constexpr duration drain = 3s;  // the longest time from ask_back to the release
constexpr holder_id holders = 12;

// A machine, and what the test knows of it by the effects alone.
class scene {
 public:
  explicit scene(std::uint64_t seed) : random_(seed), seed_(seed) {
    for (auto n = 1 + below(5); n > 0; --n) memory_.push_back(8 + below(17));
    arbiter_ = machine(memory_);
    has_tickets_ = below(2) == 0;
  }

  void step() {
    now_ += std::chrono::milliseconds(below(2000));
    for (const auto& [holder, l] : std::map(leases_)) {
      if (l.release_by <= now_ && l.release_by != never) release(holder, l.release_by);
    }
    for (const auto& [holder, l] : std::map(leases_)) {
      if (l.is_new && leases_.contains(holder)) start(holder);
    }
    const auto holder = static_cast<holder_id>(1 + below(holders));
    switch (below(6)) {
      case 0:
      case 1:
        acquire(holder);
        break;
      case 2:
        if (below(4) == 0) withdraw(holder);
        break;
      case 3:
        if (leases_.contains(holder) && below(3) == 0) release(holder, now_);
        break;
      case 4:
        report(holder);
        break;
      default:
        carry_out(arbiter_.advance(now_));
    }
    check();
  }

  // Everybody who holds something gives it back when asked or after a while: all are served.
  void finish() {
    for (int i = 0; i < 1000 && !pending_.empty(); ++i) {
      now_ += 1s;
      for (const auto& [holder, l] : std::map(leases_)) release(holder, now_);
      carry_out(arbiter_.advance(now_));
      check();
    }
    BOOST_REQUIRE_MESSAGE(pending_.empty(), "a request never ends, seed " << seed_);
  }

  std::size_t granted() const { return granted_; }
  std::size_t asked_back() const { return asked_back_; }

 private:
  struct held {
    lease_grant grant;
    lease_request request;
    time_point release_by = never;
    bool is_new = true;  // its tickets are still those that it waited with
  };

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void require(bool holds, const char* rule) {
    BOOST_REQUIRE_MESSAGE(holds, rule << ", seed " << seed_);
  }

  void acquire(holder_id holder) {
    lease_request r{holder, {1 + below(20), 1}};
    if (below(3) == 0) r.need.count = static_cast<std::uint32_t>(1 + below(memory_.size()));
    if (below(6) == 0) r.need.memory = whole_gpu;
    if (below(8) == 0) r.need.count = all_gpus;
    r.is_pinned = below(10) == 0;
    const bool is_known = pending_.contains(holder) || leases_.contains(holder);
    if (is_known) return carry_out(arbiter_.acquire(r, now_));
    pending_.emplace(holder, std::pair{r, now_});
    carry_out(arbiter_.acquire(r, now_));
    report(holder);
  }

  void withdraw(holder_id holder) {
    pending_.erase(holder);
    unawaited_.erase(holder);
    carry_out(arbiter_.withdraw(holder, now_));
  }

  void release(holder_id holder, time_point when) {
    const auto token = leases_.at(holder).grant.token;
    leases_.erase(holder);
    carry_out(arbiter_.release(holder, token, std::max(when, now_)));
  }

  void start(holder_id holder) {
    leases_.at(holder).is_new = false;
    report(holder);
  }

  void report(holder_id holder) {
    holder_demand d;
    if (has_tickets_ && below(2) == 0) {
      d.of(static_cast<work_class>(below(work_class_count))) = {
          .waiting = 1, .oldest_wait_since = now_ - std::chrono::seconds(below(40))};
    }
    // Somebody waits for what is asked for, but sometimes nobody does any more.
    if (pending_.contains(holder) && d.waiting() == 0 && below(5) > 0) {
      d.of(work_class::realtime).waiting = 1;
    }
    if (pending_.contains(holder) && d.waiting() == 0) {
      unawaited_.insert(holder);
    } else {
      unawaited_.erase(holder);
    }
    if (leases_.contains(holder)) d.of(work_class::realtime).in_use = below(2);
    d.expected_load = std::chrono::seconds(below(60));
    d.arrivals_per_s = 1;
    carry_out(arbiter_.demand(holder, d, now_));
  }

  void carry_out(const arbiter_effects& effects) {
    for (const auto& g : all<lease_grant>(effects)) {
      require(pending_.contains(g.holder), "a request ends once, and only one that is there");
      require(g.token > last_token_, "tokens grow");
      last_token_ = g.token;
      leases_[g.holder] = {g, pending_.at(g.holder).first};
      pending_.erase(g.holder);
      unawaited_.erase(g.holder);
      ++granted_;
    }
    for (const auto& r : all<lease_refusal>(effects)) {
      require(pending_.erase(r.holder) == 1, "a request ends once");
    }
    for (const auto& b : all<ask_back>(effects)) {
      require(leases_.contains(b.holder), "only a holder is asked");
      auto& l = leases_.at(b.holder);
      require(l.grant.token == b.token, "asked under its own token");
      require(l.release_by == never, "asked once");
      require(!l.request.is_pinned, "pinned is no victim");
      const auto& asking = pending_.at(b.for_holder).first;
      require(asking.is_pinned || !unawaited_.contains(b.for_holder), "for somebody who waits");
      l.release_by = now_ + std::chrono::milliseconds(below(drain / 1ms));
      ++asked_back_;
    }
  }

  std::vector<std::uint64_t> free_memory() {
    auto free = memory_;
    for (const auto& [holder, l] : leases_) {
      for (const auto& share : l.grant.gpus) {
        require(share.memory > 0 && share.memory <= free.at(share.gpu), "no more than there is");
        free[share.gpu] -= share.memory;
      }
    }
    return free;
  }

  bool fits(const gpu_need& need, const std::vector<std::uint64_t>& free) const {
    const auto count = need.count == all_gpus ? memory_.size() : need.count;
    std::size_t found = 0;
    for (std::size_t gpu = 0; gpu < free.size(); ++gpu) {
      found += free[gpu] >= (need.memory == whole_gpu ? memory_[gpu] : need.memory);
    }
    return found >= count;
  }

  void check() {
    const auto free = free_memory();
    for (std::uint32_t gpu = 0; gpu < free.size(); ++gpu) {
      require(arbiter_.used_memory(gpu) == memory_[gpu] - free[gpu], "the same sums");
    }
    require(arbiter_.leases().size() == leases_.size(), "the same leases");
    require(arbiter_.pending() == pending_.size(), "the same requests");
    for (const auto& [holder, l] : leases_) check_set(l);
    // Work-conserving: room that nobody before it waits for is not kept from a request. The first
    // in line is told from outside where no ticket changes the order.
    require(pending_.empty() || !leases_.empty(), "nobody waits for an empty machine");
    if (pending_.empty() || (has_tickets_ && pending_.size() > 1) || !unawaited_.empty()) return;
    const auto first = std::min_element(
        pending_.begin(), pending_.end(),
        [](const auto& a, const auto& b) { return a.second.second < b.second.second; });
    require(!fits(first->second.first.need, free), "the first in line does not wait beside room");
  }

  void check_set(const held& l) {
    const auto& need = l.request.need;
    const auto& gpus = l.grant.gpus;
    require(gpus.size() == (need.count == all_gpus ? memory_.size() : need.count), "all its GPUs");
    for (std::size_t i = 0; i < gpus.size(); ++i) {
      require(i == 0 || gpus[i - 1].gpu < gpus[i].gpu, "each GPU once, in order");
      const auto bytes = need.memory == whole_gpu ? memory_.at(gpus[i].gpu) : need.memory;
      require(gpus[i].memory == bytes, "what was asked for");
    }
  }

  std::mt19937_64 random_;
  std::uint64_t seed_;
  std::vector<std::uint64_t> memory_;
  lease_arbiter arbiter_ = machine({});
  bool has_tickets_ = false;
  time_point now_ = t0;
  std::map<holder_id, held> leases_;
  std::map<holder_id, std::pair<lease_request, time_point>> pending_;
  std::set<holder_id> unawaited_;  // of these, those that reported that nobody waits
  fencing_token last_token_ = 0;
  std::size_t granted_ = 0, asked_back_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_CASE(what_must_hold_holds_after_every_event) {
  std::size_t granted = 0, asked_back = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    scene s(seed);
    for (int i = 0; i < 400; ++i) s.step();
    s.finish();
    granted += s.granted();
    asked_back += s.asked_back();
  }
  BOOST_TEST_MESSAGE(granted << " grants, " << asked_back << " asked back");
  BOOST_TEST(granted > 10000u);  // a world in which nothing happens proves nothing
  BOOST_TEST(asked_back > 2000u);
}

BOOST_AUTO_TEST_SUITE_END()
