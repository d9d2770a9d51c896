// A limit of tokens a day holds whatever the wall clock does.
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>

#include "scheduling/day_clock.hpp"
#include "scheduling/rate_limit.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace std::chrono_literals;

namespace {

using std::chrono::days;

constexpr time_point start{1000h};
constexpr std::int32_t first_date = 20000;
constexpr day_clock::wall_time midnight{days(first_date)};

// A gateway with one key, of which each request uses one token of fifteen a day.
struct gateway_of_a_day {
  explicit gateway_of_a_day(std::map<std::int32_t, std::uint64_t>& database) : kept(database) {
    limits.tokens_per_day = 15;
  }

  // Asks so often, and returns how many requests were let in.
  int ask(int times, time_point now, day_clock::wall_time wall) {
    const auto day = clock.at(now, wall);
    if (day.number == 1) account.restore_day(day.number, kept[day.date]);
    const token_charge charge{1, day.number};
    int admitted = 0;
    for (int i = 0; i < times; ++i) {
      const auto refused = account.begin_inference(limits, charge, day.ends_at - now, now);
      if (refused) {
        BOOST_TEST((refused->retry_after > 0s && refused->retry_after <= 36h));
        continue;
      }
      account.end_inference(limits, charge, 1, now);
      ++admitted;
      ++kept[day.date];
    }
    return admitted;
  }

  std::map<std::int32_t, std::uint64_t>& kept;  // tokens by date, as usage keeps them
  key_limits limits;
  day_clock clock;
  limit_account account;
};

const duration jumps[] = {1s,          1h,  24h,  25h,  3 * 24h,  300 * 24h,
                          40000 * 24h, -1s, -11h, -24h, -3 * 24h, -20000 * 24h};

}  // namespace

BOOST_AUTO_TEST_SUITE(rate_limits_by_day)

BOOST_AUTO_TEST_CASE(days_go_from_midnight_to_midnight) {
  day_clock clock;
  const auto at = [&](duration after) { return clock.at(start + after, midnight + 20h + after); };
  BOOST_TEST(at(0s).date == first_date);
  BOOST_TEST((at(0s).ends_at == start + 4h));
  BOOST_TEST(at(4h - 1ns).number == 1);
  BOOST_TEST(at(4h).number == 2);
  BOOST_TEST(at(4h).date == first_date + 1);
  BOOST_TEST((at(20h).ends_at == start + 28h));
  // Nobody asked for some days.
  BOOST_TEST(at(4h + 5 * 24h).date == first_date + 6);
  BOOST_TEST((at(4h + 5 * 24h).ends_at == start + 4h + 6 * 24h));
}

BOOST_AUTO_TEST_CASE(a_clock_that_jumps_and_comes_back_refills_nothing) {
  for (const auto jump : jumps) {
    for (const int before : {0, 1, 5, 15}) {
      for (const int meanwhile : {0, 1, 5}) {
        std::map<std::int32_t, std::uint64_t> kept;
        gateway_of_a_day gateway(kept);
        const auto wall = midnight + 20h;
        int admitted = gateway.ask(before, start, wall);
        admitted += gateway.ask(meanwhile, start + 1min, wall + 1min + jump);
        admitted += gateway.ask(40, start + 2min, wall + 2min);
        BOOST_TEST(admitted == 15, to_seconds(jump) << " s");
        BOOST_TEST(gateway.ask(40, start + 4h, wall + 4h) == 15);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_clock_that_was_set_is_followed_from_the_next_day_on) {
  for (const auto jump : jumps) {
    BOOST_TEST_CONTEXT(to_seconds(jump) << " s") {
      day_clock clock;
      clock.at(start, midnight + 20h);
      const auto at = [&](duration after) {
        return clock.at(start + after, midnight + 20h + after + jump);
      };
      BOOST_TEST(at(1min).number == 1);
      BOOST_TEST(at(4h - 1ns).number == 1);
      const auto second = at(4h);
      BOOST_TEST(second.number == 2);
      BOOST_TEST((second.ends_at >= start + 16h && second.ends_at <= start + 40h));
      const auto wall_at_end = midnight + 20h + (second.ends_at - start) + jump;
      BOOST_TEST((wall_at_end == std::chrono::sys_days(days(second.date + 1))));
    }
  }
}

// The clock of two sources that disagree, and one that is set at random.
BOOST_AUTO_TEST_CASE(no_clock_makes_days_short) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    std::map<std::int32_t, std::uint64_t> kept;
    gateway_of_a_day gateway(kept);
    const std::int64_t most = (seed % 2 == 0 ? duration(1h) : duration(30 * 24h)).count();
    const duration length = 60 * 24h;
    int admitted = 0;
    auto last = gateway.clock.at(start, midnight);
    for (duration after{}; after < length; after += std::chrono::minutes(random() % 60)) {
      const auto off = seed % 3 == 0 ? most * static_cast<int>(random() % 2)
                                     : static_cast<std::int64_t>(random()) * 7919 % most - most / 2;
      const auto wall = midnight + after + duration(off);
      admitted += gateway.ask(20, start + after, wall);
      const auto day = gateway.clock.at(start + after, wall);
      if (day.number == last.number) continue;
      BOOST_TEST(day.number == last.number + 1);
      BOOST_TEST((day.ends_at - last.ends_at >= 12h && day.ends_at - last.ends_at <= 36h));
      last = day;
    }
    BOOST_TEST(admitted <= 15 * (1 + length / 12h), "seed " << seed);
    BOOST_TEST(admitted >= 15 * (length / 36h), "seed " << seed);
  }
}

BOOST_AUTO_TEST_CASE(a_restart_refills_no_date_that_was_counted) {
  for (const auto jump : {duration(24h), duration(300 * 24h), duration(-24h)}) {
    std::map<std::int32_t, std::uint64_t> kept;
    const auto wall = midnight + 20h;
    const auto restarted = [&](duration off) {
      gateway_of_a_day gateway(kept);
      int admitted = gateway.ask(40, start, wall + off);
      admitted += gateway.ask(40, start + 1min, wall + 1min + jump - off);  // jumps while it runs
      return admitted;
    };
    BOOST_TEST(restarted(0s) == 15);
    BOOST_TEST(restarted(0s) == 0);
    BOOST_TEST(restarted(jump) == 15);  // a date that nobody has counted yet
    for (int i = 0; i < 3; ++i) {
      BOOST_TEST(restarted(0s) == 0);
      BOOST_TEST(restarted(jump) == 0);
    }
    BOOST_TEST(kept.size() == 2u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
