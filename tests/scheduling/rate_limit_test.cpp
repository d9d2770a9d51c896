#include "scheduling/rate_limit.hpp"

#include <boost/test/unit_test.hpp>
#include <deque>
#include <random>
#include <thread>
#include <vector>

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace std::chrono_literals;

namespace {

constexpr time_point start{1000h};
constexpr rate sixty{60, 10};
constexpr std::int32_t today = 20000;

}  // namespace

BOOST_AUTO_TEST_SUITE(rate_limits)

BOOST_AUTO_TEST_CASE(a_burst_and_then_one_at_a_time) {
  rate_limiter limiter;
  for (int i = 0; i < 10; ++i) BOOST_TEST(limiter.take(sixty, 1, 1, start).allowed);
  const auto refused = limiter.take(sixty, 1, 1, start);
  BOOST_TEST(!refused.allowed);
  BOOST_TEST((refused.retry_after == 1s));
  // Not a moment before, and exactly then.
  BOOST_TEST(!limiter.take(sixty, 1, 1, start + 1s - 1us).allowed);
  BOOST_TEST(limiter.take(sixty, 1, 1, start + 1s).allowed);
  BOOST_TEST(!limiter.take(sixty, 1, 1, start + 1s).allowed);
  BOOST_TEST((limiter.until_full(start + 1s) == 10s));
  BOOST_TEST(limiter.left(sixty, start + 4s) == 3.0, boost::test_tools::tolerance(1e-6));
  // A long pause earns no more than the burst.
  for (int i = 0; i < 10; ++i) BOOST_TEST(limiter.take(sixty, 1, 1, start + 1h).allowed);
  BOOST_TEST(!limiter.take(sixty, 1, 1, start + 1h).allowed);
}

BOOST_AUTO_TEST_CASE(a_refused_request_costs_nothing) {
  rate_limiter limiter;
  for (int i = 0; i < 10; ++i) limiter.take(sixty, 1, 1, start);
  for (int i = 0; i < 1000; ++i) BOOST_TEST(!limiter.take(sixty, 1, 1, start + 500ms).allowed);
  BOOST_TEST(limiter.take(sixty, 1, 1, start + 1s).allowed);
}

// In any stretch of time no more than the burst and what came back meanwhile; and who never asks
// too early is never refused.
BOOST_AUTO_TEST_CASE(random_arrivals_keep_the_bound) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    const rate r{1 + static_cast<double>(random() % 6000), 1 + static_cast<double>(random() % 50)};
    rate_limiter limiter;
    std::deque<time_point> admitted;
    auto now = start;
    for (int i = 0; i < 2000; ++i) {
      now += duration(random() % (2 * r.interval().count()));
      const auto taken = limiter.take(r, 1, 1, now);
      if (taken.allowed) {
        admitted.push_back(now);
      } else {
        BOOST_TEST((taken.retry_after > duration::zero()));
        BOOST_TEST((taken.retry_after <= r.interval() + 1ns));
      }
    }
    for (std::size_t from = 0; from < admitted.size(); from += 7) {
      for (std::size_t to = from; to < admitted.size(); to += 11) {
        const auto span = static_cast<double>((admitted[to] - admitted[from]).count());
        const double most = r.burst + span / static_cast<double>(r.interval().count()) + 1e-3;
        BOOST_REQUIRE_LE(static_cast<double>(to - from + 1), most);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(many_threads_get_no_more_than_one_would) {
  rate_limiter limiter;
  const rate r{60, 1000};
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) admitted += limiter.take(r, 1, 1, start).allowed ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  BOOST_TEST(admitted == 1000);
}

BOOST_AUTO_TEST_CASE(tokens_are_charged_by_estimate_and_settled) {
  limit_account account;
  key_limits limits;
  limits.tokens_per_minute = 600;
  const token_charge charge{100, today};
  BOOST_TEST(!account.begin_inference(limits, charge, 1h, start));
  account.end_inference(limits, charge, 40, start);
  BOOST_TEST(account.tokens().left(token_rate(limits), start) == 560.0,
             boost::test_tools::tolerance(1e-6));
  BOOST_TEST(account.tokens_of(today) == 40u);
  // More than there was is owed: nothing goes until it came back.
  BOOST_TEST(!account.begin_inference(limits, charge, 1h, start));
  account.end_inference(limits, charge, 1000, start);
  const auto refused = account.begin_inference(limits, charge, 1h, start);
  BOOST_REQUIRE(refused);
  BOOST_TEST((refused->which == limit_kind::tokens_per_minute));
  BOOST_TEST(to_seconds(refused->retry_after) == 44.1, boost::test_tools::tolerance(1e-6));
  BOOST_TEST(!account.begin_inference(limits, charge, 1h, start + refused->retry_after));
}

BOOST_AUTO_TEST_CASE(what_is_owed_is_bounded_and_stays_owed) {
  limit_account account;
  key_limits limits;
  limits.tokens_per_minute = 100;
  const token_charge charge{1e6, today};  // a week's
  BOOST_TEST(!account.begin_inference(limits, charge, 1h, start));
  account.end_inference(limits, charge, 5e5, start);
  BOOST_TEST((account.tokens().until_full(start) == 24h));
  account.end_inference(limits, {0, today}, 1e300, start);  // a runtime that lies
  BOOST_TEST((account.tokens().until_full(start) == 24h));
}

BOOST_AUTO_TEST_CASE(the_slowest_rate_gives_one_a_day) {
  for (const double least : {1e-4, 1e-300, 5e-324}) {
    limit_account account;
    key_limits limits;
    limits.requests_per_minute = least;
    limits.burst = 10;
    for (int i = 0; i < 10; ++i) BOOST_TEST(!account.take_request(limits, start));
    const auto refused = account.take_request(limits, start);
    BOOST_REQUIRE(refused);
    BOOST_TEST((refused->retry_after == 24h));
    BOOST_TEST(!account.take_request(limits, start + 24h));
    BOOST_TEST(account.take_request(limits, start + 24h).has_value());
  }
}

BOOST_AUTO_TEST_CASE(a_day_has_its_tokens_and_the_next_one_too) {
  limit_account account;
  key_limits limits;
  limits.tokens_per_day = 1000;
  const token_charge charge{600, today}, tomorrow{600, today + 1};
  BOOST_TEST(!account.begin_inference(limits, charge, 3h, start));
  BOOST_TEST(!account.begin_inference(limits, charge, 3h, start));
  const auto refused = account.begin_inference(limits, charge, 3h, start);
  BOOST_REQUIRE(refused);
  BOOST_TEST((refused->which == limit_kind::tokens_per_day));
  BOOST_TEST((refused->retry_after == 3h));
  BOOST_TEST(!account.begin_inference(limits, tomorrow, 24h, start + 3h));
  // A request that began yesterday and ends today counts for yesterday.
  account.end_inference(limits, charge, 5000, start + 3h);
  account.end_inference(limits, tomorrow, 10, start + 3h);
  BOOST_TEST(account.tokens_of(today + 1) == 10u);
}

BOOST_AUTO_TEST_CASE(so_many_at_once) {
  limit_account account;
  key_limits limits;
  limits.max_concurrent = 2;
  const token_charge charge{1, today};
  BOOST_TEST(!account.begin_inference(limits, charge, 1h, start));
  BOOST_TEST(!account.begin_inference(limits, charge, 1h, start));
  for (int i = 0; i < 3; ++i) {
    const auto refused = account.begin_inference(limits, charge, 1h, start);
    BOOST_REQUIRE(refused);
    BOOST_TEST((refused->which == limit_kind::max_concurrent));
  }
  BOOST_TEST(account.concurrent() == 2u);
  account.end_inference(limits, charge, 1, start);
  BOOST_TEST(!account.begin_inference(limits, charge, 1h, start));
}

BOOST_AUTO_TEST_CASE(a_restart_gives_no_new_burst) {
  limit_account before, after;
  key_limits limits;
  limits.requests_per_minute = 60;
  limits.burst = 10;
  limits.tokens_per_day = 100;
  for (int i = 0; i < 10; ++i) BOOST_TEST(!before.take_request(limits, start));
  after.restore_rates(before.requests().full_at(), before.tokens().full_at());
  after.restore_day(today, 100);
  BOOST_TEST(after.take_request(limits, start).has_value());
  BOOST_TEST(!after.take_request(limits, start + 1s));
  BOOST_TEST(after.begin_inference(limits, {1, today}, 1h, start).has_value());
}

BOOST_AUTO_TEST_CASE(a_clock_that_was_set_locks_nobody_out_for_ever) {
  limit_account account;
  key_limits limits;
  limits.requests_per_minute = limits.tokens_per_minute = 60;
  account.restore_rates(start + 8760h, start + 8760h);
  const auto refused = account.take_request(limits, start);
  BOOST_REQUIRE(refused.has_value());
  BOOST_TEST((refused->retry_after > 23h));
  BOOST_TEST((refused->retry_after < 25h));
  // Whoever asks meanwhile does not put off the end.
  BOOST_TEST(account.take_request(limits, start + 12h).has_value());
  account.restore_rates(start - 8760h, start - 8760h);
  BOOST_TEST(account.take_request(limits, start + refused->retry_after - 1ms).has_value());
  BOOST_TEST(!account.take_request(limits, start + refused->retry_after));
  // The state that is kept for the next process is the right one.
  BOOST_TEST((account.requests().full_at() < start + 25h));
}

BOOST_AUTO_TEST_CASE(a_restart_gives_no_new_burst_that_is_worth_more_than_a_day) {
  limit_account before, after;
  key_limits limits;
  limits.requests_per_minute = 0.001;
  limits.burst = 100;
  for (int i = 0; i < 100; ++i) BOOST_TEST(!before.take_request(limits, start));
  after.restore_rates(before.requests().full_at(), before.tokens().full_at());
  BOOST_TEST(after.take_request(limits, start).has_value());
}

BOOST_AUTO_TEST_CASE(no_limit_refuses_nothing) {
  limit_account account;
  for (int i = 0; i < 1000; ++i) {
    BOOST_TEST(!account.take_request({}, start));
    BOOST_TEST(!account.begin_inference({}, {1e6, today}, 1h, start));
  }
}

BOOST_AUTO_TEST_CASE(a_request_that_goes_on_is_charged_meanwhile) {
  limit_account account;
  key_limits limits;
  limits.tokens_per_day = 100;
  limits.max_concurrent = 1;
  const token_charge charge{10, 7};
  BOOST_TEST(!account.begin_inference(limits, charge, 1h, start));
  BOOST_TEST(!account.charge_more(limits, 7, 50, 1h, start));
  BOOST_TEST(account.tokens_of(7) == 60u);
  BOOST_TEST(account.concurrent() == 1u);  // nobody else gets its place meanwhile
  const auto reached = account.charge_more(limits, 7, 50, 1h, start);
  BOOST_REQUIRE(reached.has_value());
  BOOST_TEST((reached->which == limit_kind::tokens_per_day));
  account.end_inference(limits, charge, 0, start);
  BOOST_TEST(account.tokens_of(7) == 100u);
  BOOST_TEST(account.concurrent() == 0u);
}

BOOST_AUTO_TEST_CASE(one_that_goes_on_reaches_the_limit_of_a_minute) {
  limit_account account;
  key_limits limits;
  limits.tokens_per_minute = 100;
  BOOST_TEST(!account.begin_inference(limits, {0, 7}, 1h, start));
  BOOST_TEST(!account.charge_more(limits, 7, 50, 1h, start));
  const auto reached = account.charge_more(limits, 7, 100, 1h, start);
  BOOST_REQUIRE(reached.has_value());
  BOOST_TEST((reached->which == limit_kind::tokens_per_minute));
  BOOST_TEST(!account.charge_more(limits, 7, 0, 1h, start + 1min));
}

BOOST_AUTO_TEST_SUITE_END()
