// Simulated time: events in order of their time, messages between actors that are delayed at random
// but never overtake another one between the same two actors, and a memory of what happened last.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>

#include "scheduling/types.hpp"

namespace signalbox::simulation {

using actor_id = int;

struct broken_rule : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class world {
 public:
  explicit world(std::uint64_t seed) : random_(seed) {}

  time_point now() const { return now_; }
  void at(time_point when, std::function<void()> what);
  // Also counts as in transit between the two until it was delivered.
  void send(actor_id from, actor_id to, std::function<void()> what);
  std::size_t in_transit(actor_id a, actor_id b) const;  // both directions

  // Runs the next event; false when there is none.
  bool step();
  std::size_t steps() const { return steps_; }

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(double p) { return std::uniform_real_distribution<>(0, 1)(random_) < p; }
  duration between(duration low, duration high);

  void note(const char* what, long a = 0, long b = 0);
  void require(bool holds, const char* rule, long a = 0, long b = 0) const;
  std::string history() const;

 private:
  struct happening {
    time_point when;
    const char* what;
    long a, b;
  };

  std::mt19937_64 random_;
  time_point now_{std::chrono::hours(1)};
  std::multimap<time_point, std::function<void()>> events_;
  std::map<std::pair<actor_id, actor_id>, time_point> last_delivery_;
  std::map<std::pair<actor_id, actor_id>, std::size_t> in_transit_;
  std::deque<happening> happenings_;
  std::size_t steps_ = 0;
};

}  // namespace signalbox::simulation
