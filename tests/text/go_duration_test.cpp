#include "text/go_duration.hpp"

#include <boost/test/unit_test.hpp>

using namespace signalbox;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(a_go_duration_is_numbers_with_units) {
  struct scene {
    std::string_view text;
    std::chrono::nanoseconds expected;
  };
  const scene scenes[] = {{"0", 0ns},       {"-0", 0ns},       {"0s", 0ns},
                          {"5m", 5min},     {"+5m", 5min},     {"1h30m", 90min},
                          {"-1h", -1h},     {"300ms", 300ms},  {"1.5s", 1500ms},
                          {".5s", 500ms},   {"1.s", 1s},       {"2h45m10.5s", 2h + 45min + 10500ms},
                          {"7us", 7us},     {"7\u00b5s", 7us}, {"7\u03bcs", 7us},
                          {"3ns", 3ns},     {"1s1s", 2s},      {"100000h", 100000h},
                          {"-0.1s", -100ms}};
  for (const auto& [text, expected] : scenes) {
    BOOST_TEST_CONTEXT(text) {
      const auto read = parse_go_duration(text);
      BOOST_REQUIRE(read.has_value());
      BOOST_TEST(read->count() == expected.count());
    }
  }
}

BOOST_AUTO_TEST_CASE(nothing_else_is_a_go_duration) {
  for (const std::string_view text :
       {"",     "-",    "+",    "1",    "-1",   "00",        "m",      "5",  "5 m",
        " 5m",  "5m ",  "5x",   "5mx",  "1h30", "--1s",      "1h-30m", ".s", ".",
        "1e3s", "infs", "nans", "0x1s", "1,5s", "99999999h", "5M"}) {
    BOOST_TEST(!parse_go_duration(text).has_value(), text);
  }
}
