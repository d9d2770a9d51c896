#include "scheduling/deadline_index.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(deadline_index_rules)

// Against the obvious implementation, with near and far deadlines, some of them in the past.
BOOST_AUTO_TEST_CASE(agrees_with_a_plain_map) {
  std::mt19937_64 random(7);
  deadline_index index;
  std::map<std::uint32_t, time_point> plain;
  time_point now{1h};
  for (int step = 0; step < 200000; ++step) {
    auto slot = static_cast<std::uint32_t>(random() % 300);
    if (auto found = plain.find(slot); found != plain.end()) {
      index.remove(slot, found->second);
      plain.erase(found);
    } else {
      auto deadline = now + std::chrono::milliseconds(random() % 5000) - 500ms;
      index.insert(slot, deadline);
      plain.emplace(slot, deadline);
    }
    auto first = never;
    for (const auto& [s, d] : plain) first = std::min(first, d);
    BOOST_REQUIRE(index.next() <= first);
    BOOST_REQUIRE((index.next() == never) == plain.empty());
    BOOST_REQUIRE(plain.empty() || first - index.next() <= 250ms);
    if (random() % 10 > 0) continue;
    now += std::chrono::milliseconds(random() % 100);
    auto last = time_point{};
    for (auto due : index.take_due(now)) {
      BOOST_REQUIRE(plain.contains(due));
      BOOST_REQUIRE(plain[due] <= now && plain[due] >= last);
      last = plain[due];
      plain.erase(due);
    }
    for (const auto& [s, d] : plain) BOOST_REQUIRE(d > now);
    BOOST_REQUIRE(plain.empty() || index.next() > now);  // asking again at next() makes progress
  }
}

BOOST_AUTO_TEST_CASE(no_deadline_is_not_kept) {
  deadline_index index;
  index.insert(1, never);
  BOOST_CHECK(index.next() == never);
  index.remove(1, never);
}

BOOST_AUTO_TEST_SUITE_END()
