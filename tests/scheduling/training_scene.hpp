// A trainer supervision with short calls for the tests of its rules.
#pragma once

#include <boost/test/unit_test.hpp>
#include <string>

#include "scheduling/training.hpp"
#include "tests/scheduling/effects.hpp"

namespace signalbox::test {

inline constexpr time_point training_begins{std::chrono::hours(1)};

inline scheduling::training_options quick_training() {
  using namespace std::chrono_literals;
  scheduling::training_options o;
  o.frozen_timeout = 300s;
  o.cooldown = 600s;
  o.stop_grace = 20s;
  o.start_timeout = 60s;
  o.adopt_wait = 30s;
  o.backoff = 10s;
  o.max_backoff = 80s;
  return o;
}

// The selection that was persisted last.
inline scheduling::training_selection kept(const scheduling::training_effects& effects) {
  const auto found = all<scheduling::persist_selection>(effects);
  BOOST_REQUIRE(!found.empty());
  return found.back().selection;
}

// Its calls happen at `now`, which a test moves on.
struct training_scene {
  explicit training_scene(scheduling::training_options o = quick_training(),
                          scheduling::training_selection persisted = {})
      : core(o, std::move(persisted), now) {}

  scheduling::training_effects running() { return seen(scheduling::trainer_state::running); }
  scheduling::training_effects missing() { return seen(scheduling::trainer_state::missing); }
  scheduling::training_effects exited(int code, bool oom = false) {
    return seen(scheduling::trainer_state::exited, code, oom);
  }
  scheduling::training_effects granted() { return core.lease_granted(++token, {{0, 16}}, now); }
  scheduling::training_effects asked_back() { return core.lease_asked_back(token, now); }
  scheduling::training_effects requests(std::uint32_t n) { return core.requests_changed(n, now); }
  scheduling::training_effects says(scheduling::training_word word, double time = 1,
                                    const std::string& folder = "a") {
    return core.status_read({folder, word, time}, now);
  }
  scheduling::training_effects advance() { return core.advance(now); }
  // At the core's own deadline.
  scheduling::training_effects wait() {
    now = core.next_deadline();
    return core.advance(now);
  }

  // Selected, granted, started and seen to run.
  void run() {
    missing();
    core.select("a", now);
    granted();
    running();
  }
  void stopped_by_us() { exited(143); }

  time_point now = training_begins;
  fencing_token token = 0;
  scheduling::training core;

 private:
  scheduling::training_effects seen(scheduling::trainer_state state, int code = 0,
                                    bool oom = false) {
    return core.trainer_seen({core.order(), state, code, oom}, now);
  }
};

}  // namespace signalbox::test
