// The common part of simulated actors: references to them, sending to them, and their timer.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/simulation/world.hpp"

namespace signalbox::simulation {

namespace core = signalbox::scheduling;

// Lambdas as one visitor.
template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;

// The shell may be gone when the actor has ended: messages to it are lost then.
template <class Shell>
struct actor_ref {
  actor_id id = nobody;
  Shell* shell = nullptr;

  explicit operator bool() const { return id != nobody; }
};

template <class Shell, class Message>
void send(world& w, actor_id from, const actor_ref<Shell>& to, Message message, topic about = 0) {
  if (!to) return;
  w.send(
      from, to.id, [shell = to.shell, m = std::move(message)] { shell->on(m); }, about);
}

// As tick_timer of actors/shell.hpp: what is pending and turns out too late is used all the same.
class tick_timer {
 public:
  void arm(world& w, actor_id whose, time_point when, callback tick) {
    const auto is_before = [=](time_point pending) { return pending <= when; };
    if (when == never || std::any_of(pending_.begin(), pending_.end(), is_before)) return;
    pending_.push_back(when);
    w.at(std::max(when, w.now()) + lateness(w), std::move(tick), whose);
  }
  void fired(time_point now) {
    std::erase_if(pending_, [=](time_point pending) { return pending <= now; });
  }

  static constexpr duration latest = std::chrono::milliseconds(30);

 private:
  static duration lateness(world& w) {
    return w.chance(0.05) ? w.between(duration::zero(), latest)
                          : w.between(duration::zero(), std::chrono::microseconds(500));
  }

  std::vector<time_point> pending_;
};

}  // namespace signalbox::simulation
