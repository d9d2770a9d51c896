// Days, groups and cursors as text: what comes out goes in again, and nothing else does.
#include "access/usage_query.hpp"

#include <boost/test/unit_test.hpp>

#include <nlohmann/json.hpp>

using namespace signalbox;

BOOST_AUTO_TEST_SUITE(usage_queries)

BOOST_AUTO_TEST_CASE(days) {
  BOOST_TEST(parse_day("1970-01-01").value() == 0);
  BOOST_TEST(parse_day("2024-02-29").value() == 19782);
  BOOST_TEST(parse_bucket("20240229").value() == 19782);
  for (const auto day : {0, 1, 19782, 20484, 2932896}) {
    BOOST_TEST(parse_day(day_text(day)).value() == day);
  }
  for (const auto* wrong :
       {"", "2026", "2023-02-29", "2026-13-01", "2026-00-10", "2026-1-1", "2026-01-32",
        "0000-01-01", "2026/01/01", "+026-01-01", "2026-01-01 ", "20260101", "2026-01-0x"}) {
    BOOST_TEST(!parse_day(wrong).has_value(), wrong);
  }
  for (const auto* wrong : {"", "2026-01-01", "20261301", "2026010", "202601011", "2026010x"}) {
    BOOST_TEST(!parse_bucket(wrong).has_value(), wrong);
  }
}

BOOST_AUTO_TEST_CASE(groups) {
  const auto by = parse_grouping("source,key,key").value();
  BOOST_TEST(by.source);
  BOOST_TEST(by.key);
  BOOST_TEST(!by.day);
  BOOST_TEST(!by.client);
  BOOST_TEST(!by.model);
  for (const auto* wrong : {"", "user", "key,", ",key", "key model", "Key"}) {
    BOOST_TEST(!parse_grouping(wrong).has_value(), wrong);
  }
}

BOOST_AUTO_TEST_CASE(cursors) {
  const usage_grouping by{.day = true, .client = true};
  usage_group last;
  last.day = 20484;
  last.client_id = "\"a\\b,ä";
  const auto text = cursor_of(by, last);
  BOOST_TEST(text.find_first_of("+/= &") == std::string::npos);  // safe in a query
  const auto found = parse_cursor(by, text).value();
  BOOST_TEST(found.day == last.day);
  BOOST_TEST(found.client_id == last.client_id);
  BOOST_TEST(found.key_id.empty());
  BOOST_TEST(!parse_cursor({.day = true}, text).has_value());  // of another grouping
  for (const auto& wrong : {std::string("0"), text + "x", text.substr(1), std::string("W10"),
                            std::string(9000, 'a'), std::string("a b")}) {
    BOOST_TEST(!parse_cursor(by, wrong).has_value(), wrong);
  }
  BOOST_TEST(parse_key_cursor("").value().empty());
  BOOST_TEST(parse_key_cursor("0").value().empty());
  for (const auto* key : {"0", "a", "MA", "some/key"}) {
    BOOST_TEST(parse_key_cursor(key_cursor_of(key)).value() == key);
    BOOST_TEST(key_cursor_of(key) != "0");
  }
  BOOST_TEST(!parse_key_cursor("!").has_value());
}

BOOST_AUTO_TEST_CASE(a_document_tells_what_it_is_grouped_by) {
  usage_group group;
  group.key_id = "k";
  group.requests = 3;
  group.prompt_tokens = 2;
  group.completion_tokens = 5;
  group.gpu_us = 1'500'000;
  const auto document = to_document({.key = true}, group);
  BOOST_TEST(document["key"] == "k");
  BOOST_TEST(!document.contains("day"));
  BOOST_TEST(document["total_tokens"] == 7);
  BOOST_TEST(document["gpu_seconds"] == 1.5);
  BOOST_TEST(document["last_seen"] == "1970-01-01T00:00:00.000000Z");
}

BOOST_AUTO_TEST_SUITE_END()
