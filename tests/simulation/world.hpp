// Simulated time: events in order of their time, messages between actors, and a memory of what
// happened last.
//
// A message is late at random, and all that its sender sends after it, to anybody, comes after it:
// the order that mailboxes of actors in one process keep. Messages of different senders overtake
// one another. A message to an actor that has ended is lost.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "scheduling/types.hpp"

namespace signalbox::simulation {

// The address of one life of an actor; never given out again.
using actor_id = std::uint32_t;
inline constexpr actor_id nobody = 0;

// Messages are counted while they are on their way, by topic; nothing is counted for topic 0.
using topic = std::uint32_t;

using callback = std::function<void()>;

struct broken_rule : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class world {
 public:
  explicit world(std::uint64_t seed);
  world(const world&) = delete;

  time_point now() const { return now_; }
  // `whose`: it is called only while that actor lives.
  void at(time_point when, callback what, actor_id whose = nobody);
  void after(duration delay, callback what, actor_id whose = nobody) {
    at(now_ + delay, std::move(what), whose);
  }

  actor_id begin_actor();
  void end_actor(actor_id who) { actors_[who].is_alive = false; }
  bool is_alive(actor_id who) const { return actors_[who].is_alive; }
  void send(actor_id from, actor_id to, callback what, topic about = 0);
  std::uint32_t in_transit(topic about) const;
  duration slowest_message() const { return slowest_; }

  bool step();  // runs the next event; false when there is none
  std::uint64_t steps() const { return steps_; }

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(double p) { return static_cast<double>(random_() >> 11) * 0x1p-53 < p; }
  duration between(duration low, duration high);
  // Every order of magnitude between the two is as likely.
  duration between_magnitudes(duration low, duration high);

  void note(const char* what, std::uint64_t a = 0, std::uint64_t b = 0);
  void require(bool holds, const char* rule, std::uint64_t a = 0, std::uint64_t b = 0) const {
    if (!holds) fail(rule, a, b);
  }
  std::string history() const;

 private:
  struct actor {
    bool is_alive = true;
    time_point last_sent{};  // when its last message arrives
  };
  struct event {
    callback what;
    actor_id whose = nobody;
    topic about = 0;
  };
  struct due {
    time_point when;
    std::uint64_t number;  // those of one time happen in the order in which they were planned
    std::uint32_t slot;    // of events_
  };
  struct is_later {
    bool operator()(const due& a, const due& b) const {
      return a.when != b.when ? a.when > b.when : a.number > b.number;
    }
  };
  struct happening {
    std::uint64_t step = 0;
    time_point when{};
    const char* what = nullptr;
    std::uint64_t a = 0, b = 0;
  };

  void plan(time_point when, event e);
  duration delay();
  [[noreturn]] void fail(const char* rule, std::uint64_t a, std::uint64_t b) const;

  std::mt19937_64 random_;
  const double slow_messages_;  // their share; the seed's mood
  const duration slowest_;
  time_point now_{std::chrono::hours(1)};
  std::vector<due> queue_;  // a heap
  std::vector<event> events_;
  std::vector<std::uint32_t> unused_;  // of events_
  std::vector<actor> actors_;
  std::vector<std::uint32_t> in_transit_;    // by topic
  std::array<happening, 200> happenings_{};  // a ring
  std::size_t happened_ = 0;
  std::uint64_t planned_ = 0, steps_ = 0;
};

}  // namespace signalbox::simulation
