#include "http/serve/limits.hpp"

#include <boost/test/unit_test.hpp>

using namespace signalbox;
using namespace std::chrono_literals;
using scheduling::limit_kind;

BOOST_AUTO_TEST_SUITE(limits)

BOOST_AUTO_TEST_CASE(a_refusal_names_the_limit_as_it_was_set) {
  principal who;
  who.limits.requests_per_minute = 0.5;
  who.limits.tokens_per_minute = 20'000;
  who.limits.max_concurrent = 2;
  who.limits.tokens_per_day = 1'000'000;
  const auto message = [&](limit_kind which) { return http::refusal_of(who, {which, 1s}).message; };
  const std::string begin = "This key or user is limited to ";
  BOOST_TEST(message(limit_kind::requests_per_minute) == begin + "0.5 requests a minute.");
  BOOST_TEST(message(limit_kind::tokens_per_minute) == begin + "20000 tokens a minute.");
  BOOST_TEST(message(limit_kind::max_concurrent) == begin + "2 requests at once.");
  BOOST_TEST(message(limit_kind::tokens_per_day) == begin + "1000000 tokens a day (UTC).");
}

BOOST_AUTO_TEST_CASE(a_refusal_says_when_to_come_again_in_whole_seconds) {
  const auto retry_after = [](duration wait) {
    return http::refusal_of({}, {limit_kind::requests_per_minute, wait}).headers.at(0);
  };
  const std::string name = "Retry-After";
  BOOST_TEST((retry_after(119001ms) == std::pair(name, std::string("120"))));
  BOOST_TEST((retry_after(0ms) == std::pair(name, std::string("1"))));
}

BOOST_AUTO_TEST_SUITE_END()
