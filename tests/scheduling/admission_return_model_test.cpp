// Tickets that return, many at once and in any order, against a model so plain that it is right by
// inspection.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>
#include <tuple>
#include <vector>

#include "tests/scheduling/return_scene.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(admission_returns_against_a_model)

namespace {

// Priority, counter, arrival: a vector that is searched each time. All principals wait all the
// while, so that nothing is lifted.
struct plain_queue {
  struct entry {
    ticket t;
    std::size_t arrival;
  };
  std::map<std::uint32_t, double> counters;
  std::vector<entry> waiting;

  entry take_first() {
    const auto key = [&](const entry& e) {
      return std::tuple(e.t.level, counters[e.t.principal], e.arrival);
    };
    const auto first =
        std::min_element(waiting.begin(), waiting.end(),
                         [&](const auto& a, const auto& b) { return key(a) < key(b); });
    const auto taken = *first;
    waiting.erase(first);
    counters[taken.t.principal] += taken.t.estimate;
    return taken;
  }
};

class random_returns {
 public:
  random_returns(std::uint64_t seed, std::uint32_t principals)
      : random_(seed),
        principals_(principals),
        units_(1 + below(300)),
        scene_({.max_concurrent = units_, .max_waiting = 3000, .max_starvation = 1000h}) {
    scene_.close();
    for (ticket_id id = 1; id <= 3000; ++id) {
      auto t = of(id, 1 + static_cast<std::uint32_t>(id % principals_),
                  static_cast<priority>(below(priority_count)));
      t.estimate = 1 + below(1000);
      add({t, id});
    }
    last_ = 3000;
  }

  void run() {
    for (int round = 0; round < 8; ++round) {
      now_ += 1s;
      grant();
      end_some();
      scene_.close();
      give_up_all();
      cancel_some();
      if (principals_ == 1) check_positions();
    }
  }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

  void add(const plain_queue::entry& e) {
    scene_.submit(e.t, now_);
    plain_.waiting.push_back(e);
  }
  void expect(std::size_t from) {
    for (auto i = from; i < scene_.granted().size(); ++i) {
      const auto first = plain_.take_first();
      BOOST_REQUIRE_EQUAL(scene_.granted()[i], first.t.id);
      running_.emplace(first.t.id, first);
    }
  }
  void grant() {
    const auto from = scene_.granted().size();
    scene_.keep(scene_.queue.open(now_));
    BOOST_REQUIRE_EQUAL(scene_.granted().size(), from + units_);
    expect(from);
  }
  void end_some() {
    for (auto n = below(100); n > 0; --n) {
      const auto id = scene_.running()[below(units_)];
      const double corrected = below(200);
      const auto from = scene_.granted().size();
      scene_.end(id, corrected, now_);
      plain_.counters[running_.extract(id).mapped().t.principal] += corrected;
      expect(from);
    }
  }
  void give_up_all() {
    auto all = scene_.running();
    std::shuffle(all.begin(), all.end(), random_);
    for (const auto id : all) {
      scene_.give_up(id, ++last_, now_);
      auto e = running_.extract(id).mapped();
      plain_.counters[e.t.principal] -= e.t.estimate;
      e.t.id = last_;
      plain_.waiting.push_back(e);
    }
  }
  void cancel_some() {
    for (int n = 0; n < 20; ++n) {
      const auto victim = plain_.waiting.begin() + below(1 + units_);  // anything
      scene_.queue.cancel(victim->t.id, now_);
      plain_.waiting.erase(victim);
    }
  }
  void check_positions() {
    for (const auto& e : plain_.waiting) {
      const auto ahead = std::count_if(
          plain_.waiting.begin(), plain_.waiting.end(), [&](const plain_queue::entry& other) {
            return std::tuple(other.t.level, other.arrival) < std::tuple(e.t.level, e.arrival);
          });
      BOOST_REQUIRE_EQUAL(scene_.position(e.t.id, now_), 1 + ahead);
    }
  }

  std::mt19937_64 random_;
  std::uint32_t principals_, units_;
  return_scene scene_;
  time_point now_ = t0;
  plain_queue plain_;
  std::map<ticket_id, plain_queue::entry> running_;
  ticket_id last_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_CASE(many_that_return_in_any_order_stand_as_they_did) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      random_returns(seed, seed % 3 == 0 ? 1 : 2 + static_cast<std::uint32_t>(seed)).run();
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
