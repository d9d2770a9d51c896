#include "text/utf8.hpp"

#include <boost/test/unit_test.hpp>

using namespace signalbox;

BOOST_AUTO_TEST_CASE(clean_text_replaces_what_postgresql_refuses) {
  const std::string mark = "\xEF\xBF\xBD";
  BOOST_TEST(clean_text("plain größe 😀") == "plain größe 😀");
  BOOST_TEST(clean_text(std::string("a\0b", 3)) == "a" + mark + "b");
  BOOST_TEST(clean_text("a\xff\xfe") == "a" + mark + mark);
  BOOST_TEST(clean_text("\xc0\xaf") == mark + mark);             // overlong
  BOOST_TEST(clean_text("\xed\xa0\x80") == mark + mark + mark);  // surrogate
  BOOST_TEST(clean_text("\xf4\x90\x80\x80").find('\xf4') == std::string::npos);
  BOOST_TEST(clean_text("end \xe6\x97") == "end " + mark + mark);  // cut short
}

BOOST_AUTO_TEST_CASE(clean_text_cuts_between_characters) {
  BOOST_TEST(clean_text("abcdef", 4) == "abcd");
  BOOST_TEST(clean_text("ab日本", 6) == "ab日");
  BOOST_TEST(clean_text("日", 2) == "");
}

BOOST_AUTO_TEST_CASE(a_text_has_one_byte_order_mark_at_most) {
  const std::string mark = "\xEF\xBB\xBF";
  BOOST_TEST(without_byte_order_mark(mark + "{}") == "{}");
  BOOST_TEST(without_byte_order_mark(mark) == "");
  BOOST_TEST(without_byte_order_mark(mark + mark + "a") == mark + "a");
  for (const auto* text : {"", "\xEF", "\xEF\xBB", "{}", " \xEF\xBB\xBF{}", "\xFE\xFF"}) {
    BOOST_TEST(without_byte_order_mark(text) == text);
  }
}

BOOST_AUTO_TEST_CASE(a_line_is_valid_and_harmless) {
  BOOST_TEST(clean_line("gr\xc3\xbc\xc3\x9f\tdich") == "gr\xc3\xbc\xc3\x9f\tdich");
  BOOST_TEST(clean_line("a\xff\x62\xc3") == "a\xef\xbf\xbd\x62\xef\xbf\xbd");
  BOOST_TEST(clean_line("\xed\xa0\x80").find('\xed') == std::string::npos);  // a surrogate
  BOOST_TEST(clean_line(std::string_view("a\0b\x1b[31mc", 9)) == "ab[31mc");
}
