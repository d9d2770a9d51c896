// admission against a model so plain that it is right by inspection: a vector, searched each time.
#include <malloc.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>
#include <vector>

#include "tests/scheduling/effects.hpp"
#include "tests/scheduling/single_backend.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(admission_against_a_model)

namespace {

struct plain_ticket {
  ticket t;
  time_point arrival;
  std::size_t sequence;
};

struct plain_queue {
  duration max_starvation;
  std::vector<plain_ticket> waiting;

  bool goes_first(const plain_ticket& a, const plain_ticket& b, time_point now) const {
    auto key = [&](const plain_ticket& p) {
      auto level = static_cast<long>(p.t.level) - (now - p.arrival) / max_starvation;
      return std::make_tuple(p.t.work, std::max(0l, static_cast<long>(level)), p.sequence);
    };
    return key(a) < key(b);
  }
  std::size_t position(const plain_ticket& p, time_point now) const {
    return 1 + std::count_if(waiting.begin(), waiting.end(),
                             [&](const auto& other) { return goes_first(other, p, now); });
  }
  plain_ticket take_first(time_point now) {
    auto first =
        std::min_element(waiting.begin(), waiting.end(),
                         [&](const auto& a, const auto& b) { return goes_first(a, b, now); });
    auto taken = *first;
    waiting.erase(first);
    return taken;
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(order_and_position_agree) {
  std::mt19937_64 random(3);
  single_backend q({.max_concurrent = 1, .max_waiting = 3000, .max_starvation = 700ms});
  plain_queue plain{700ms, {}};
  time_point now{1h};
  q.open(now);
  plain_ticket running{{.id = 1}, now, 0};
  auto grant = all<grant_permit>(q.submit(running.t, now)).at(0);
  const auto take_next = [&] {
    const auto grants = all<grant_permit>(q.give_back(0, 1, now));
    BOOST_REQUIRE_EQUAL(grants.size(), 1u);
    grant = grants[0];
    running = plain.take_first(now);
    BOOST_REQUIRE_EQUAL(grant.id, running.t.id);
  };
  ticket_id id = 1;
  for (std::size_t step = 1; step <= 30000; ++step) {
    now += std::chrono::milliseconds(random() % 3);
    auto growing = (step / 5000) % 2 == 0;
    auto what = random() % 11;
    if (what < (growing ? 6u : 3u)) {
      ticket t{.id = ++id,
               .work = static_cast<work_class>(random() % 2),
               .level = static_cast<priority>(random() % priority_count)};
      q.submit(t, now);
      plain.waiting.push_back({t, now, step});
    } else if (plain.waiting.empty()) {
      continue;
    } else if (what < 8) {
      take_next();
    } else if (what < 9) {  // what runs is preempted
      q.count_service({.work = running.t.work, .ended = 1, .corrected = -grant.charge.cost}, now);
      running.t.id = ++id;
      running.t.place = grant.place;
      q.submit(running.t, now);
      plain.waiting.push_back(running);
      take_next();
    } else {
      auto victim = plain.waiting.begin() + static_cast<long>(random() % plain.waiting.size());
      q.cancel(victim->t.id, now);
      plain.waiting.erase(victim);
    }
    BOOST_REQUIRE_EQUAL(q.waiting(), plain.waiting.size());
    if (step % 50 == 0 && !plain.waiting.empty()) {
      const auto& p = plain.waiting[random() % plain.waiting.size()];
      BOOST_REQUIRE_EQUAL(q.place(p.t.id, now)->position, plain.position(p, now));
    }
  }
}

// Cancelled tickets with far deadlines, behind one that never goes away, must leave nothing behind.
BOOST_AUTO_TEST_CASE(a_million_cancelled_tickets_leave_no_memory) {
#if defined(__SANITIZE_ADDRESS__)
  BOOST_TEST_MESSAGE("mallinfo2 says nothing under AddressSanitizer");
#else
  single_backend q({.max_concurrent = 1, .max_waiting = 100});
  time_point now{1h};
  q.open(now);
  q.submit({.id = 1}, now);
  q.submit({.id = 2}, now);
  auto cycle = [&](ticket_id from, ticket_id to) {
    for (auto id = from; id < to; ++id) {
      now += 10us;
      q.submit({.id = id, .deadline = now + 24h}, now);
      if (id - from >= 50) q.cancel(id - 50, now);  // never the newest: nothing is simply undone
    }
    for (auto id = to - 50; id < to; ++id) q.cancel(id, now);
  };
  cycle(1000, 20000);
  auto before = mallinfo2().uordblks;
  cycle(20000, 1020000);
  BOOST_CHECK_EQUAL(q.waiting(), 1u);
  BOOST_CHECK_LT(mallinfo2().uordblks, before + 100000);
#endif
}

BOOST_AUTO_TEST_SUITE_END()
